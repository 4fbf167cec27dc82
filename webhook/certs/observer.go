package certs

import "time"

// Rotation names one step in the life of a self-signed certificate.
type Rotation string

// The steps that [Observer.Rotated] reports.
const (
	// RotationAuthorityAdded means that a new CA joined the trusted bundle.
	RotationAuthorityAdded Rotation = "authority-added"
	// RotationLeafIssued means that a new serving certificate was signed.
	RotationLeafIssued Rotation = "leaf-issued"
	// RotationAuthorityRetired means that a CA left the trusted bundle.
	RotationAuthorityRetired Rotation = "authority-retired"
)

// Repair names an object that somebody else had changed and that was put right.
type Repair string

// The objects that [Observer.Repaired] reports.
const (
	// RepairBundle is the caBundle of a webhook in the webhook configuration.
	RepairBundle Repair = "ca-bundle"
	// RepairSecret is the Secret that holds the CA and the serving pair.
	RepairSecret Repair = "secret"
)

// Observer is told what a provider does, for metrics. Any field may be nil.
// The functions are called from the provider's own goroutine, must not block,
// and see each event once, in the replica that caused it.
type Observer struct {
	// Serving is called when another certificate begins to be served, with its expiry.
	Serving func(notAfter time.Time)
	// Rotated is called after a rotation step was stored.
	Rotated func(Rotation)
	// Repaired is called after a foreign edit or removal was put right.
	Repaired func(Repair)
	// Failed is called for each failed attempt to load or rotate; the last good
	// certificate stays in use.
	Failed func(error)
}

func (o Observer) serving(notAfter time.Time) {
	if o.Serving != nil {
		o.Serving(notAfter)
	}
}

func (o Observer) rotated(r Rotation) {
	if o.Rotated != nil {
		o.Rotated(r)
	}
}

func (o Observer) repaired(r Repair) {
	if o.Repaired != nil {
		o.Repaired(r)
	}
}

func (o Observer) failed(err error) {
	if o.Failed != nil {
		o.Failed(err)
	}
}
