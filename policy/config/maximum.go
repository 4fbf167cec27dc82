package config

import "maps"

// WithMaximumAction gives the configuration with another maximumAction, for callers that the file's one does not bind.
func (c *Config) WithMaximumAction(a Action) (*Config, error) {
	out := *c
	out.MaximumAction, out.Guardrails = a, maps.Clone(c.Guardrails)
	return &out, out.resolve()
}

// WithAction gives the configuration with another action for one guardrail, for callers that ask what it would do.
func (c *Config) WithAction(slug string, a Action) (*Config, error) {
	out := *c
	out.Guardrails = maps.Clone(c.Guardrails)
	g := out.Guardrails[slug]
	g.Action = a
	out.Guardrails[slug] = g
	return &out, out.resolve()
}
