// Package certs keeps the webhook's serving certificate fresh without a failed
// handshake. It has two providers with the same methods (GetCertificate, Run,
// NotAfter, CABundle): [Files] serves a pair that somebody else renews,
// [SelfSigned] is its own certificate authority for installs without one.
//
// # Why an own rotation
//
// An API server learns a new CA from the caBundle of the webhook configuration,
// some time after it was written. github.com/open-policy-agent/cert-controller
// v0.16.0 (rotator.refreshCerts, then ReconcileWH.ensureCerts) and cert-manager
// v1.21.2 (pkg/server/tls/authority.DynamicAuthority.regenerateCA) replace the
// CA in one step: the only trusted certificate is overwritten and the leaf is
// signed anew at once, so handshakes fail until every API server has seen the
// new caBundle and every replica the new leaf. Here a new CA is trusted first,
// signs only after an overlap, and the old one goes only when nothing that it
// signed is valid any more; crypto/x509 does the rest.
//
// The package decides nothing about admission and registers no metrics: it
// reports through [Observer].
package certs
