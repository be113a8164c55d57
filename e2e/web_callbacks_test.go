package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/redis/go-redis/v9"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/internal/testserver"
	"github.com/authcode-go/authcode/redisstore"
	"github.com/authcode-go/authcode/signin"
)

const (
	webProcesses  = 4
	sameCallbacks = 1000
	// webProcess is the variable that makes this test binary a process of the app.
	webProcess = "AUTHCODE_E2E_WEB_PROCESS"
)

// webSettings are what a process of the app is told.
type webSettings struct {
	Authority, CA, TenantID, ClientID, Secret, RedirectURI string
	Redis, Password                                        string
}

// TestWebCallbackOfManyProcesses sends one callback a thousand times at once to four processes that share a Redis: a browser that
// repeats itself, and proxies that repeat it. The code is sent once, there is one session, and every answer leads to it.
func TestWebCallbackOfManyProcesses(t *testing.T) {
	if text := os.Getenv(webProcess); text != "" {
		serveAsProcess(t, text)
		return
	}
	t.Parallel()
	server, err := testserver.StartRedis()
	testserver.Need(t, err)
	t.Cleanup(server.Stop)
	site := newWebSite(t, "web")
	settings := webSettings{
		Authority: site.server.URL(), CA: string(site.server.CertPEM()), TenantID: site.server.Directory().Tenant("contoso").ID,
		ClientID: site.client.ClientID, Secret: site.client.Secrets[0], RedirectURI: site.origin + "/auth/callback",
		Redis: server.Address, Password: server.Password,
	}
	var processes []string
	for range webProcesses {
		processes = append(processes, startWebProcess(t, settings))
	}
	client := &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{MaxIdleConnsPerHost: sameCallbacks},
	}
	t.Cleanup(client.CloseIdleConnections)

	begun, _ := webGet(t, client, processes[0]+"/me", nil)
	callback, err := site.server.Authorize(t.Context(), begun.Header.Get("Location"), aliceAtContoso)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	sessions, answers := map[string]int{}, map[string]int{}
	var wg sync.WaitGroup
	start := make(chan struct{})
	for n := range sameCallbacks {
		wg.Go(func() {
			<-start
			response, body := webGet(t, client, processes[n%webProcesses]+callback.RequestURI(), begun.Cookies())
			answer := fmt.Sprint(response.StatusCode, " to ", response.Header.Get("Location"))
			if response.StatusCode != http.StatusSeeOther {
				answer += ": " + body
			}
			mu.Lock()
			defer mu.Unlock()
			answers[answer]++
			for _, c := range response.Cookies() {
				if c.MaxAge >= 0 && !strings.Contains(c.Name, "-flow-") && !strings.Contains(c.Name, "-loop") {
					sessions[c.Value]++
				}
			}
		})
	}
	close(start)
	wg.Wait()
	if len(answers) != 1 || answers["303 to /me"] != sameCallbacks {
		t.Errorf("the answers are %v", answers)
	}
	if len(sessions) != 1 {
		t.Errorf("%d sessions were given out", len(sessions))
	}
	if got := site.codePosts(); got != 1 {
		t.Errorf("%d codes were sent", got)
	}
	redisClient := redis.NewClient(&redis.Options{Addr: server.Address, Password: server.Password})
	t.Cleanup(func() { _ = redisClient.Close() })
	all, err := site.replica(redisstore.New(redisClient, nil), nil).signin.Sessions(t.Context(), site.server.Directory().User(aliceAtContoso).HomeAccountID())
	if err != nil || len(all) != 1 {
		t.Errorf("alice has %d sessions (%v)", len(all), err)
	}
	for session := range sessions { // which every process knows
		for _, process := range processes {
			response, body := webGet(t, client, process+"/me", []*http.Cookie{{Name: sessionCookieName(begun.Cookies()), Value: session}})
			if response.StatusCode != http.StatusOK || !strings.Contains(body, aliceAtContoso) {
				t.Errorf("%s answers %s: %s", process, response.Status, body)
			}
		}
	}
}

// sessionCookieName is that of the session, by the flow's.
func sessionCookieName(flow []*http.Cookie) string {
	name, _, _ := strings.Cut(flow[0].Name, "-flow-")
	return name
}

func webGet(t *testing.T, client *http.Client, address string, cookies []*http.Cookie) (*http.Response, string) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Error(err)
		return &http.Response{}, ""
	}
	request.Header.Set("Accept", "text/html")
	for _, c := range cookies {
		request.AddCookie(c)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Error(err)
		return &http.Response{}, ""
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response, string(body)
}

var listensAt = regexp.MustCompile(`(?m)^listening at (http://\S+)$`)

// startWebProcess runs this test binary as a process of the app, until the test ends.
func startWebProcess(t *testing.T, settings webSettings) (address string) {
	t.Helper()
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{output: newOutput(listensAt), exited: make(chan struct{})}
	s.command = exec.Command(os.Args[0], "-test.run=^TestWebCallbackOfManyProcesses$")
	s.command.Env = append(os.Environ(), webProcess+"="+string(text))
	s.command.Stdout, s.command.Stderr = s.output, s.output
	if s.input, err = s.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.exited)
		if err := s.command.Wait(); err != nil {
			_, _ = fmt.Fprintln(s.output, err)
		}
	}()
	t.Cleanup(func() { s.stop(t) })
	return s.address(t)
}

// serveAsProcess is such a process: it serves until its input ends, behind whoever ends TLS.
func serveAsProcess(t *testing.T, text string) {
	var settings webSettings
	if err := json.Unmarshal([]byte(text), &settings); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(settings.CA))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	client := redis.NewClient(&redis.Options{Addr: settings.Redis, Password: settings.Password})
	defer func() { _ = client.Close() }()
	app, err := authcode.NewApp(settings.TenantID, settings.ClientID, settings.RedirectURI, authcode.SecretAuth(settings.Secret), &authcode.AppOptions{
		ClientOptions: azcore.ClientOptions{
			Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: settings.Authority},
			Transport: &http.Client{Transport: transport},
		},
		Sealer: webSealer(t),
		Store:  redisstore.New(client, nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = app.Close() }()
	h, err := signin.New(app, &signin.Options{Logger: slog.New(slog.NewTextHandler(os.Stdout, nil)), Scopes: []string{"User.Read"}})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: webPages(h)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	fmt.Printf("listening at http://%s\n", listener.Addr())
	_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
	_ = server.Close()
	<-done
}
