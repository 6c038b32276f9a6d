// Alertmanager's own API and store of alerts on loopback, for the contract tests: what receives, validates, merges and
// lists. Without the notifiers, the clustering and the web console, whose files a Go module does not carry.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/alertmanager/api"
	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/route"
)

const settings = "route: {receiver: none}\nreceivers: [{name: none}]\n"

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	logger, registry := promslog.NewNopLogger(), prometheus.NewRegistry()
	recorder := eventrecorder.NopRecorder()
	alerts, err := mem.NewAlerts(context.Background(), 30*time.Minute, 0, nil, logger, recorder, registry, nil)
	check(err)
	silences, err := silence.New(silence.Options{Metrics: registry})
	check(err)
	served, err := api.New(api.Options{
		Alerts:         alerts,
		Silences:       silences,
		GroupMutedFunc: func(string, string) ([]string, bool) { return nil, false },
		GroupFunc: func(context.Context, func(*dispatch.Route) bool, func(*types.Alert, time.Time) bool) (
			dispatch.AlertGroups, map[model.Fingerprint][]string, error) {
			return nil, nil, nil
		},
		Registry: registry,
		RequestDuration: prometheus.NewHistogramVec(
			prometheus.HistogramOpts{Name: "request_seconds"}, []string{"handler", "method", "code"}),
	})
	check(err)
	loaded, err := config.Load(settings)
	check(err)
	served.Update(loaded, func(context.Context, model.LabelSet) {})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(listener.Addr())
	check(http.Serve(listener, served.Register(route.New(), "/")))
}
