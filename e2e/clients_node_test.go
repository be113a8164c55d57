package e2e

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// nodeClient is a client in JavaScript, in a process of its own that node/client.mjs serves.
type nodeClient struct {
	calls   *json.Encoder
	answers *json.Decoder
}

// openNode opens clients of a package, all of one test in one process.
func openNode(pkg, script string) func(*testing.T, *clientEntra, clientSettings) (client, error) {
	return func(t *testing.T, e *clientEntra, settings clientSettings) (client, error) {
		n, ok := e.nodes[script]
		if !ok {
			n = startNode(t, e, pkg, script)
			e.nodes[script] = n
		}
		return n, n.call(t, "open", settings, nil)
	}
}

func startNode(t *testing.T, e *clientEntra, pkg, script string) *nodeClient {
	t.Helper()
	node, _ := needNode(t, pkg)
	authority := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(authority, e.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{output: newOutput(nil), exited: make(chan struct{})}
	s.command = exec.Command(node, "--import", preload(t, "exit-with-parent.mjs"), "--import", preload(t, "only-loopback.mjs"),
		absolute(t, filepath.Join("node", script)))
	s.command.Dir = t.TempDir()
	s.command.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+authority)
	s.command.Stderr = s.output
	input, err := s.command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	// A pipe of our own, since Wait closes one of the command's under a reader.
	output, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.command.Stdout, s.input = write, input
	err = s.command.Start()
	_ = write.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.exited)
		_ = s.command.Wait() // how it ended is of interest only where it ended too early
	}()
	t.Cleanup(func() {
		s.stop(t)
		_ = output.Close()
	})
	n := &nodeClient{calls: json.NewEncoder(input), answers: json.NewDecoder(output)}
	n.answer(t, "start", nil)
	return n
}

func (n *nodeClient) begin(t *testing.T) string {
	t.Helper()
	var u string
	if err := n.call(t, "begin", nil, &u); err != nil {
		t.Fatal(err)
	}
	return u
}

func (n *nodeClient) redeem(t *testing.T, callback *url.URL) (token string, err error) {
	t.Helper()
	err = n.call(t, "redeem", callback.String(), &token)
	return token, err
}

func (n *nodeClient) silent(t *testing.T, claims string) (token string, err error) {
	t.Helper()
	err = n.call(t, "silent", claims, &token)
	return token, err
}

// call has a method of the client run.
func (n *nodeClient) call(t *testing.T, method string, argument, result any) error {
	t.Helper()
	if err := n.calls.Encode(map[string]any{"method": method, "argument": argument}); err != nil {
		t.Fatal(err)
	}
	return n.answer(t, method, result)
}

func (n *nodeClient) answer(t *testing.T, method string, result any) error {
	t.Helper()
	var answer struct {
		Elsewhere []string
		Error     *reported
		Result    json.RawMessage
	}
	if err := n.answers.Decode(&answer); err != nil {
		t.Fatalf("%s: the process gave no answer: %v", method, err)
	}
	if len(answer.Elsewhere) > 0 {
		t.Errorf("%s: the client asked %q", method, answer.Elsewhere)
	}
	if answer.Error != nil {
		return answer.Error
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return nil
}
