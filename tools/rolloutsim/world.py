"""The world of one simulated rollout: what is true, what is reported of it, and what goes wrong. One world a seed."""

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from ringfence_operator.rollout import analysis
from ringfence_operator.rollout.evidence import (
    EvaluationState,
    MetricSpec,
    NonInferior,
    Ratio,
    Reading,
    Shown,
    Sums,
    Within,
)
from ringfence_operator.rollout.machine import decide
from ringfence_operator.rollout.state import (
    Decision,
    Earned,
    EvaluationSeen,
    GateSeen,
    HandoverSeen,
    Mode,
    Observation,
    PromotionSeen,
    RolloutSpec,
    Stage,
    StageSpec,
    State,
    Stop,
    TrackState,
)
from ringfence_operator.rollout.turn import Turn, evaluation_name
from ringfence_operator.rollout.waiting import done

T0: Final = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PASS: Final = timedelta(seconds=15)
LIMITS: Final = ("aaaaaaaaaa", "bbbbbbbbbb")
METRICS: Final = (
    MetricSpec(name="breaks", rule=Within(None, 0.0), interval_s=15, critical=True),
    MetricSpec(name="latency", rule=Within(None, 100.0), interval_s=15, failure_limit=2),
    MetricSpec(name="rejects", rule=Ratio(0.01), interval_s=30, min_samples=300),
    MetricSpec(name="refusals", rule=Ratio(0.005), interval_s=30, min_samples=600),
    MetricSpec(name="profit", rule=Shown(), interval_s=60),
)
COMPARED: Final = (*METRICS, MetricSpec(name="slippage", rule=NonInferior(2.0), interval_s=30, min_samples=60))


def stages(approvals: bool) -> tuple[StageSpec, ...]:
    def step(stage: Stage, weight: int, metrics: tuple[MetricSpec, ...], *, approval: bool) -> StageSpec:
        return StageSpec(
            stage=stage,
            weight=weight,
            duration_s=300,
            min_orders=300,
            min_episodes=60,
            approval=approval,
            metrics=metrics,
        )

    return (
        step(Stage.PAPER, 0, METRICS, approval=False),
        step(Stage.CANARY, 5, METRICS, approval=approvals),
        step(Stage.CANARY, 25, COMPARED, approval=False),
        step(Stage.LIVE, 100, METRICS, approval=approvals),
    )


@dataclass(frozen=True)
class Quality:
    """What a revision is really like."""

    breaks: bool = False
    slow: bool = False
    late: bool = False
    """Breaks only once it has all of the capital."""
    rejected: float = 0.0005
    refused: bool = False
    """The gate refuses all of its intents, so it has no orders."""
    worse_bps: float = 0.0

    @property
    def good(self) -> bool:
        return self == Quality()


@dataclass
class Step:
    """One decision that was written, with what was so when it was taken: what the rules look at."""

    at: datetime
    clock: datetime
    """The operator's, which may be wrong."""
    spec: RolloutSpec
    before: State
    after: State
    seen: Observation
    decided: Decision
    evaluation: EvaluationState
    silent_s: float
    """How long Prometheus had been away."""


@dataclass
class World:
    rng: random.Random
    now: datetime = T0
    state: State = field(default_factory=State)
    spec: RolloutSpec = field(default_factory=lambda: RolloutSpec(goal=Stage.LIVE, simulated=False))
    revision: str = "rev1"
    qualities: dict[str, Quality] = field(default_factory=dict)
    grant: str = LIMITS[0]
    stop: Stop = field(default_factory=Stop)
    evaluations: dict[str, EvaluationState] = field(default_factory=dict)
    promotions: dict[str, PromotionSeen] = field(default_factory=dict)
    handovers: dict[str, HandoverSeen] = field(default_factory=dict)
    entered: dict[str, datetime] = field(default_factory=dict)
    """True time at which each Evaluation's step began."""
    prometheus: str = "up"
    """up, down, empty, nan, stale or lying."""
    away_since: datetime | None = None
    skew: timedelta = timedelta(0)
    refuses: bool = False
    faults: bool = True
    lied: bool = False
    steps: list[Step] = field(default_factory=list)

    # --- what the operator sees

    def observation(self) -> Observation:
        rising = self.state.rising
        paper = rising is None or rising.weight == 0
        active = self.stop.severity == "None"
        state = "Active" if active else "Halted"
        name = evaluation_name(self.state)
        traded = 0 if rising is not None and self.quality(rising.revision).refused else self._done()
        found = self.evaluations.get(name)
        return Observation(
            generation=1,
            revision=self.revision,
            grant=self.grant,
            gates=(GateSeen(pod="e", paper=False, state=state), GateSeen(pod="p", paper=True, state=state)),
            stop=self.stop,
            fresh=self.faults is False or self.rng.random() > 0.02,
            orders=traded * 2 if rising is not None else None,
            episodes=traded if not paper or rising is not None else None,
            evaluation=EvaluationSeen(name=name, uid=f"uid-{name}", state=found) if found is not None else None,
            promotions=tuple(self.promotions.values()),
            adopts=None if self.faults and self.rng.random() < 0.02 else True,
            handovers=tuple(self.handovers[h.id] for h in self.state.handovers if h.id in self.handovers),
        )

    def _done(self) -> int:
        """Episodes since the step began, one a second."""
        began = self.entered.get(evaluation_name(self.state))
        return 0 if began is None else int((self.now - began).total_seconds())

    def clock(self) -> datetime:
        """The operator's."""
        return self.now + self.skew

    # --- one pass of the operator, which may die at any await

    def operate(self) -> None:
        """Measure, record, decide, write; each may be the last thing that it does."""
        seen, now = self.observation(), self.clock()
        rising = self.state.rising
        if self.state.progress is not None and rising is not None:
            name = evaluation_name(self.state)
            self.entered.setdefault(name, self.now)
            known = self.evaluations.get(name, EvaluationState())
            if known.started is None:
                known = self.evaluations[name] = EvaluationState(started=rising.since)
            if self._dies():
                return
            turn = Turn(spec=self.spec, seen=seen, now=now, state=self.state)
            metrics = turn.present.metrics
            readings = [self._reading(spec, now, rising.revision) for spec in analysis.due(metrics, known, now)]
            found = analysis.record(metrics, known, readings, done(turn))
            if self._dies():
                return
            self.evaluations[name] = found
            seen = replace(seen, evaluation=EvaluationSeen(name=name, uid=f"uid-{name}", state=found))
        decided = decide(self.spec, self.state, seen, now)
        if self._dies():
            return  # decided, and lost
        if decided.evaluation:
            self.evaluations.setdefault(decided.evaluation, EvaluationState())
        if self._dies():
            return  # the next step's Evaluation is there, and the step was not taken
        self._keep(seen, decided)
        if self._dies():
            return  # written, and what follows it lost: the next pass has to do it
        for result in decided.promotions:
            if result.state != "Waiting":
                self.promotions[result.name] = replace(self.promotions[result.name], final=True)

    def _keep(self, seen: Observation, decided: Decision) -> None:
        name = evaluation_name(self.state)
        silent = 0.0 if self.away_since is None else (self.now - self.away_since).total_seconds()
        evaluation = self.evaluations.get(name, EvaluationState())
        step = Step(self.now, self.clock(), self.spec, self.state, decided.state, seen, decided, evaluation, silent)
        self.steps.append(step)
        self.state = decided.state

    def _dies(self) -> bool:
        return self.faults and self.rng.random() < 0.03

    def _reading(self, spec: MetricSpec, now: datetime, revision: str) -> Reading:
        """What Prometheus answers, which need not be so."""
        plain = Reading(metric=spec.name, at=now, query=spec.name, age_s=5.0)
        match self.prometheus:
            case "down":
                return replace(plain, error="connection refused")
            case "empty":
                return replace(plain, age_s=None)
            case "nan":
                return replace(plain, value=float("nan"), total=float("nan"))
            case "stale":
                return replace(self._true(spec, plain, revision), age_s=900.0)
            case "lying":
                self.lied = True
                return self._true(spec, plain, self.rng.choice(["rev-good", "rev-bad"]))
            case _:
                return self._true(spec, plain, revision)

    def _true(self, spec: MetricSpec, plain: Reading, revision: str) -> Reading:
        quality = self.quality(revision)
        done = max(0, self._done())
        if spec.name == "breaks":
            live = self.state.rising is not None and self.state.rising.weight == 100
            bad = (quality.breaks and done > 100) or (quality.late and live and done > 60)
            return replace(plain, value=1.0 if bad else 0.0)
        if spec.name == "latency":
            return replace(plain, value=400.0 if quality.slow else 20.0)
        if spec.name == "rejects":
            orders = 0.0 if quality.refused else done * 2.0
            return replace(plain, value=float(int(orders * quality.rejected)), total=orders)
        if spec.name == "refusals":
            return replace(plain, value=done * 5.0 if quality.refused else 0.0, total=done * 5.0)
        if spec.name == "slippage":
            return replace(plain, candidate=_sums(done, quality.worse_bps), stable=_sums(done, 0.0))
        return replace(plain, value=self.rng.gauss(0, 100))

    def quality(self, revision: str) -> Quality:
        return self.qualities.get(revision, Quality(breaks=revision == "rev-bad"))


def _sums(count: int, mean: float) -> Sums:
    """Of episodes that spread by 3.5 bps around a mean."""
    up = count * (abs(mean) + 3) if mean >= 0 else count * 3.0
    return Sums(count=float(count), positive=up, negative=up - count * mean, squares=count * (3.5**2 + mean**2))


def fresh_world(seed: int) -> World:
    """Drawn from the seed: approvals, handover, where failures go, and what the revisions are like."""
    rng = random.Random(seed)  # sim-ok: the seed of a simulation, printed when it fails
    world = World(rng=rng)
    world.spec = RolloutSpec(
        goal=Stage.LIVE,
        simulated=rng.random() < 0.2,
        stages=stages(approvals=rng.random() < 0.7),
        handover=rng.choice([Mode.ADOPT, Mode.FLATTEN]),
        to_paper=rng.random() < 0.5,
        no_data_timeout_s=600,
    )
    bad = [
        Quality(late=True),
        Quality(late=True),
        Quality(breaks=True),
        Quality(slow=True),
        Quality(rejected=0.05),
        Quality(refused=True),
        Quality(worse_bps=6.0),
    ]
    for number in range(1, 6):
        world.qualities[f"rev{number}"] = Quality() if rng.random() < 0.6 else rng.choice(bad)
    if rng.random() < 0.6:  # there is a stable that earned its place
        grant = LIMITS[0]
        stable = TrackState(revision="rev0", stage=Stage.LIVE, weight=100, grant=grant, since=T0)
        world.state = State(stable=stable, earned=(Earned(revision="rev0", grant=grant, at=T0),))
    return world
