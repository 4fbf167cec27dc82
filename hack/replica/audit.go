package replica

import (
	"context"
	"errors"
	"net"
)

// StartAudit runs "bulkhead audit serve" and returns once it is ready, which says nothing of who leads. Host is of no use to it, and
// URL is empty: it answers no reviews. ctx bounds the start alone.
func StartAudit(ctx context.Context, o Options) (*Replica, error) {
	port, err := freePort("127.0.0.1")
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", port)
	r := &Replica{ProbeURL: "http://" + address, LogPath: o.Log, exited: make(chan error, 1)}
	args := append([]string{
		"audit", "serve", "--kubeconfig", o.Kubeconfig, "--config", o.Config, "--namespace", Namespace, "--probe-address", address,
	}, o.Args...)
	if err := r.launch(o, args); err != nil {
		return nil, err
	}
	if err := r.AwaitReady(ctx); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}
