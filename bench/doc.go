// Package bench measures authcode beside what an application would use in its place: plain memory, golang.org/x/oauth2,
// and net/http with encoding/json. It holds benchmarks and nothing to import.
//
// Each figure is taken in one run with what it is compared to, since a machine's speed changes more from hour to hour than
// these differ from one another. README.md says how to run them and what they gave.
package bench
