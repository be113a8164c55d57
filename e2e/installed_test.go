package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const (
	requireServers = "AUTHCODE_REQUIRE_SERVERS"

	installNode     = "install Node.js 20.12 or later and npm (Debian 13: apt-get install nodejs npm)"
	installPackages = "run: npm ci --prefix e2e/node"
)

// missing ends a test whose server is not installed: a skip for somebody who just runs the tests, a failure where the
// servers are said to be there.
func missing(t *testing.T, what, howToInstall string) {
	t.Helper()
	message := fmt.Sprintf("%s: %s", what, howToInstall)
	if os.Getenv(requireServers) == "1" {
		t.Fatalf("%s (%s=1 makes this a failure)", message, requireServers)
	}
	t.Skip(message)
}

// needNode gives node, and the directory of an installed package in the version that package.json pins.
func needNode(t *testing.T, pkg string) (node, directory string) {
	t.Helper()
	n := findNode()
	switch {
	case n.err != nil:
		missing(t, fmt.Sprintf("node is missing (%v)", n.err), installNode)
	case n.major < 20 || n.major == 20 && n.minor < 12:
		missing(t, fmt.Sprintf("node is version %d.%d", n.major, n.minor), installNode)
	}
	directory = filepath.Join("node", "node_modules", pkg)
	pinned := readPackage(t, "node").Dependencies[pkg]
	if _, err := os.Stat(directory); err != nil {
		missing(t, "the npm package "+pkg+" is missing", installPackages)
	}
	if installed := readPackage(t, directory).Version; installed != pinned {
		missing(t, fmt.Sprintf("the npm package %s is version %s, not %s", pkg, installed, pinned), installPackages)
	}
	return n.path, directory
}

type installedNode struct {
	path         string
	major, minor int
	err          error
}

// findNode looks for node once.
var findNode = sync.OnceValue(func() (n installedNode) {
	if n.path, n.err = exec.LookPath("node"); n.err != nil {
		return n
	}
	version, err := exec.Command(n.path, "--version").Output()
	if err == nil {
		_, err = fmt.Sscanf(string(version), "v%d.%d", &n.major, &n.minor)
	}
	n.err = err
	return n
})

type packageJSON struct {
	Version      string
	Dependencies map[string]string
}

func readPackage(t *testing.T, directory string) packageJSON {
	t.Helper()
	var p packageJSON
	content, err := os.ReadFile(filepath.Join(directory, "package.json"))
	if err == nil {
		err = json.Unmarshal(content, &p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}
