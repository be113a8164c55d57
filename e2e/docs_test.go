package e2e

import (
	"go/format"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A document that names a test claims that it exists.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	declared := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		for _, match := range function.FindAllSubmatch(source, -1) {
			declared[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Benchmark|Fuzz)[A-Z]\\w+)`")
	for _, document := range []string{"../docs/behaviours.md", "../SECURITY.md", "../docs/clients.md", "../CONTRIBUTING.md", "../README.md", "../docs/web.md"} {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range named.FindAllSubmatch(text, -1) {
			if !declared[string(match[1])] {
				t.Errorf("%s names %s, which does not exist", document, match[1])
			}
		}
	}
}

// The programs in README and docs/web.md are complete: each must compile as it stands.
func TestReadmeProgramsCompile(t *testing.T) {
	for document, least := range map[string]int{"../README.md": 3, "../docs/web.md": 1} {
		programs := goBlocks(t, document, true)
		if len(programs) < least {
			t.Fatalf("%s: found %d programs, want at least %d", document, len(programs), least)
		}
		for _, program := range programs {
			vet(t, program)
		}
	}
}

// goBlocks are the Go of a document: its programs, or its fragments.
func goBlocks(t *testing.T, document string, programs bool) []string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(text, -1) {
		if strings.HasPrefix(string(block[1]), "package main\n") == programs {
			all = append(all, string(block[1]))
		}
	}
	return all
}

// vet compiles a program inside this module, so that its requirements are those the program is compiled with.
func vet(t *testing.T, program string) {
	t.Helper()
	dir, err := os.MkdirTemp(".", "readme-program-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("go", "vet", "./"+dir).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, output, program)
	}
}

// fragmentPackages are those that the fragments of docs/web.md name.
var fragmentPackages = map[string]string{
	"authcode":   "github.com/authcode-go/authcode",
	"azblob":     "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob",
	"chi":        "github.com/go-chi/chi/v5",
	"context":    "context",
	"echo":       "github.com/labstack/echo/v5",
	"fmt":        "fmt",
	"gin":        "github.com/gin-gonic/gin",
	"http":       "net/http",
	"json":       "encoding/json",
	"policy":     "github.com/Azure/azure-sdk-for-go/sdk/azcore/policy",
	"redisstore": "github.com/authcode-go/authcode/redisstore",
	"signin":     "github.com/authcode-go/authcode/signin",
}

// fragmentWorld is what the fragments take for granted.
const fragmentWorld = `
var (
	app                                           *authcode.App
	auth                                          authcode.ClientAuth
	ctx                                           context.Context
	h                                             *signin.Handler
	home, reports                                 http.Handler
	mux                                           *http.ServeMux
	options                                       *authcode.AppOptions
	r                                             *http.Request
	redisClient                                   redis.UniversalClient
	sealer                                        authcode.Sealer
	tenantID, clientID, redirectURI               string
	user                                          *signin.User
)

func files(http.ResponseWriter, *http.Request, *signin.User) error    { return nil }
func me(http.ResponseWriter, *http.Request)                           {}
func payslips(http.ResponseWriter, *http.Request, *signin.User) error { return nil }
`

// The fragments in docs/web.md compile in the world they take for granted.
func TestWebFragmentsCompile(t *testing.T) {
	fragments := goBlocks(t, "../docs/web.md", false)
	if len(fragments) < 12 {
		t.Fatalf("found %d fragments, want at least 12", len(fragments))
	}
	var program strings.Builder
	var bodies strings.Builder
	declared := regexp.MustCompile(`(?m)^([\w, ]+) :=`)
	for i, fragment := range fragments {
		if formatted, err := format.Source([]byte(fragment)); err != nil || string(formatted) != fragment {
			t.Errorf("not as gofmt has it (%v):\n%s\nbut\n%s", err, fragment, formatted)
		}
		if strings.HasPrefix(fragment, "func ") {
			bodies.WriteString(fragment)
			continue
		}
		bodies.WriteString("func fragment" + strconv.Itoa(i) + "() error {\n" + fragment)
		if !strings.Contains(fragment, "\nreturn ") {
			for _, names := range declared.FindAllStringSubmatch(fragment, -1) {
				bodies.WriteString(strings.Repeat("_, ", strings.Count(names[1], ",")) + "_ = " + names[1] + "\n")
			}
			bodies.WriteString("return nil\n")
		}
		bodies.WriteString("}\n")
	}
	program.WriteString("package main\nimport (\n\"github.com/redis/go-redis/v9\"\n")
	for name, path := range fragmentPackages {
		if !strings.Contains(bodies.String()+fragmentWorld, name+".") {
			t.Errorf("no fragment names %s any more", name)
		}
		program.WriteString(name + " \"" + path + "\"\n")
	}
	program.WriteString(")\n" + fragmentWorld + bodies.String() + "func main() {}\n")
	vet(t, program.String())
}

// README promises a web app in a dozen lines.
func TestReadmeWebAppIsShort(t *testing.T) {
	for _, program := range goBlocks(t, "../README.md", true) {
		if !strings.Contains(program, "signin.New(") {
			continue
		}
		_, main, _ := strings.Cut(program, "func main() {\n")
		main, _, _ = strings.Cut(main, "\n}\n")
		if lines := strings.Count(main, "\n") + 1; lines > 12 {
			t.Errorf("main has %d lines, want 12 at most", lines)
		}
		return
	}
	t.Error("README has no program with signin")
}
