"""Exactly once with the real program: kill -9 in the middle of sends, then the venue's books against the journal's.

What happens between two system calls cannot be repeated by a seed; tests/property/test_exactly_once.py can.
"""

from pathlib import Path

import pytest

from chaos.processes import ProcessEpisode
from gatebench.bench import furnished


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", [1, 2])
async def test_kills_of_the_program_lose_and_repeat_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    async with furnished(tmp_path, monkeypatch, paper=False) as bench:
        episode = ProcessEpisode(bench, seed)
        await episode.play(kills=2)
        await episode.close()
        assert episode.verdict() == [], f"seed {seed}"
        assert episode.figures["fills"] > 0, episode.figures
        assert episode.figures["restated"] > 0, episode.figures
