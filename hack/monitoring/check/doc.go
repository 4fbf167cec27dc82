// Package check holds the dashboards, rules and alerts against Prometheus' own parser and engine. It is a module of its own, because
// Prometheus' dependencies must not reach the product's.
package check
