package config

import "maps"

// WithMaximumAction gives the configuration with another maximumAction, for callers that the file's one does not bind.
func (c *Config) WithMaximumAction(a Action) (*Config, error) {
	out := *c
	out.MaximumAction, out.Guardrails = a, maps.Clone(c.Guardrails)
	return &out, out.resolve()
}
