// Package denials keeps what was lately denied, warned about or audited, as data that other programs may ask for: the feed of
// the audit mode's console is made of it. It holds no objects, and nothing of it is on the path of an allowed request.
package denials

import "time"

// The decisions that are kept. A request that was allowed and violated nothing leaves no record.
const (
	Denied  = "denied"
	Warned  = "warned"
	Audited = "audited" // allowed, with violations that only the audit log tells
)

// Record is one decision with violations. A request that is repeated within a minute, with the same outcome, is counted in the
// record that is there. All text is printable and clipped.
type Record struct {
	// Number is what the replica gave it when it was last added to: later ones are higher.
	Number uint64 `json:"number"`
	// Time is when the request was first decided about, and Last when it was for the last time.
	Time time.Time `json:"time"`
	Last time.Time `json:"last"`
	// Count is how often it was made, at least 1.
	Count int `json:"count"`
	// Replica is the one that decided, by the name of its host.
	Replica string `json:"replica,omitempty"`
	// UID and User are those of the first request; the audit log has the same UID as the log line of the decision.
	UID  string `json:"uid"`
	User string `json:"user"`
	// Operation is CREATE, UPDATE or DELETE.
	Operation string `json:"operation"`
	// Resource is the kind of the object, such as NetworkPolicy.
	Resource string `json:"resource"`
	// Namespace of the object. For a Namespace it is its own name.
	Namespace string `json:"namespace"`
	// Name is empty where the API server was still to generate one.
	Name string `json:"name,omitempty"`
	// DryRun says that nothing was to be stored anyway.
	DryRun bool `json:"dryRun,omitempty"`
	// Decision is denied, warned or audited.
	Decision string `json:"decision"`
	// Findings are the violations, the strictest first, at most MaxFindings.
	Findings []Finding `json:"findings"`
	// MoreFindings counts those that were left out.
	MoreFindings int `json:"moreFindings,omitempty"`
	// Cut and Opened are the connections that the change would cut or open, at most MaxFlows each; empty where no guardrail
	// that judged the change asked for them.
	Cut    []Flow `json:"cut,omitempty"`
	Opened []Flow `json:"opened,omitempty"`
	// MoreFlows counts those of both that were left out.
	MoreFlows int `json:"moreFlows,omitempty"`
}

// Finding is one violation.
type Finding struct {
	// Guardrail is the slug.
	Guardrail string `json:"guardrail"`
	// Action is what was done about it: Deny, Warn or Audit.
	Action string `json:"action"`
	// Field is the path of the field at fault, empty where none is.
	Field string `json:"field,omitempty"`
	// Detail says in one line what is wrong.
	Detail string `json:"detail"`
	// WouldDeny says that it was not denied and would have been were the guardrail's action Deny.
	WouldDeny bool `json:"wouldDeny,omitempty"`
}

// Flow is a connection between two workloads, or between one and addresses outside the cluster.
type Flow struct {
	// From and To are the owners of pods as "namespace/name", the way connectivity.Node is written, or addresses as
	// "10.0.0.0-10.0.0.255".
	From string `json:"from"`
	To   string `json:"to"`
	// Port is as in "TCP 80, UDP 53".
	Port string `json:"port"`
	// More counts further peers of the same namespace that fare alike: more sources where the change is about To, more
	// destinations where it is about From.
	More int `json:"more,omitempty"`
}

// Page is what GET /denials answers.
type Page struct {
	// Replica is the one that answers. Each keeps its own records and its own numbers.
	Replica string `json:"replica"`
	// Epoch tells one start of the replica from the next; numbers start anew with it.
	Epoch string `json:"epoch"`
	// Next is the number to ask after for what comes then.
	Next uint64 `json:"next"`
	// Lost counts the records after the number asked for that had made room for newer ones; of long ago it may be more.
	Lost uint64 `json:"lost"`
	// Records are sorted by their numbers. One that was counted up since the number asked for is there again.
	Records []*Record `json:"records"`
}

// Bounds of what a record holds. Sizes are in bytes.
const (
	MaxFindings = 20
	MaxFlows    = 20
	MaxText     = 512 // one line
	MaxName     = 253 // names of objects; the API's own bound
)
