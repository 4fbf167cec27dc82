// Package board is the one source of Bulkhead's Grafana dashboards and of its Prometheus rules and alerts. It knows no metric by
// itself: the tests compare every name and label in it with package reference.
package board
