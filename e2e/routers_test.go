package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v5"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/entratest"
	"github.com/authcode-go/authcode/signin"
)

// A user signs in to apps made with other people's routers, as docs/web.md has them: /me behind the router's own middleware, /files by
// Handler.Func.
func TestRouters(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	me := func(w http.ResponseWriter, r *http.Request) {
		user, _ := signin.UserFrom(r.Context())
		_, _ = fmt.Fprint(w, user.Account.Username)
	}
	files := func(w http.ResponseWriter, _ *http.Request, user *signin.User) error {
		_, err := fmt.Fprint(w, "files of ", user.Account.Username)
		return err
	}
	for name, route := range map[string]func(*signin.Handler) http.Handler{
		"net/http": func(h *signin.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/auth/", h)
			mux.Handle("GET /me", h.RequireUser(http.HandlerFunc(me)))
			mux.Handle("GET /files", h.Func(files))
			return mux
		},
		"chi": func(h *signin.Handler) http.Handler {
			router := chi.NewRouter()
			router.Handle("/auth/*", h)
			router.Method(http.MethodGet, "/files", h.Func(files))
			router.Group(func(r chi.Router) {
				r.Use(func(next http.Handler) http.Handler { return h.RequireUser(next) })
				r.Get("/me", me)
			})
			return router
		},
		"echo": func(h *signin.Handler) http.Handler {
			router := echo.New()
			router.Any("/auth/*", echo.WrapHandler(h))
			router.GET("/files", echo.WrapHandler(h.Func(files)))
			users := router.Group("", echo.WrapMiddleware(func(next http.Handler) http.Handler { return h.RequireUser(next) }))
			users.GET("/me", func(c *echo.Context) error {
				user, _ := signin.UserFrom(c.Request().Context())
				return c.String(http.StatusOK, user.Account.Username)
			})
			return router
		},
		"gin": func(h *signin.Handler) http.Handler {
			router := gin.New()
			router.Any("/auth/*endpoint", gin.WrapH(h))
			router.GET("/files", gin.WrapH(h.Func(files)))
			users := router.Group("", requireUser(h))
			users.GET("/me", func(c *gin.Context) {
				user, _ := signin.UserFrom(c.Request.Context())
				c.String(http.StatusOK, user.Account.Username)
			})
			return router
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			emulator, h := newRouterSite(t)
			v := &visitor{t: t, app: route(h), cookies: map[string]string{}}
			if status := v.get("/me", "cors").Code; status != http.StatusUnauthorized {
				t.Errorf("a script without a session gets %d, want 401", status)
			}
			begun := v.get("/me", "navigate")
			callback, err := emulator.Authorize(t.Context(), begun.Header().Get("Location"), aliceAtContoso)
			if err != nil {
				t.Fatal(err)
			}
			if back := v.get(callback.RequestURI(), "navigate").Header().Get("Location"); back != "/me" {
				t.Fatalf("the callback leads to %q, want /me", back)
			}
			for path, want := range map[string]string{"/me": aliceAtContoso, "/files": "files of " + aliceAtContoso} {
				if got := v.get(path, "navigate"); got.Code != http.StatusOK || got.Body.String() != want {
					t.Errorf("%s: %d %q, want %q", path, got.Code, got.Body, want)
				}
			}
		})
	}
}

// requireUser is RequireUser as gin's middleware.
func requireUser(h *signin.Handler, needs ...signin.Need) gin.HandlerFunc {
	return func(c *gin.Context) {
		passed := false
		h.RequireUser(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			passed, c.Request = true, r
			c.Next()
		}), needs...).ServeHTTP(c.Writer, c.Request)
		if !passed {
			c.Abort()
		}
	}
}

func newRouterSite(t *testing.T) (*entratest.Emulator, *signin.Handler) {
	t.Helper()
	emulator, err := entratest.NewHandler(nil)
	if err != nil {
		t.Fatal(err)
	}
	web := emulator.Directory().App("web")
	app, err := authcode.NewApp(web.TenantID, web.ClientID, "https://app.example.com/auth/callback", authcode.SecretAuth(web.Secrets[0]),
		&authcode.AppOptions{ClientOptions: azcore.ClientOptions{
			Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: emulator.URL()},
			Transport: &http.Client{Transport: emulator.Transport()},
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	h, err := signin.New(app, nil)
	if err != nil {
		t.Fatal(err)
	}
	return emulator, h
}

// visitor sends requests with the cookies it was given, and follows nothing.
type visitor struct {
	t       *testing.T
	app     http.Handler
	cookies map[string]string
}

func (v *visitor) get(target, mode string) *httptest.ResponseRecorder {
	v.t.Helper()
	r := httptest.NewRequestWithContext(v.t.Context(), http.MethodGet, target, nil)
	r.Header.Set("Sec-Fetch-Mode", mode)
	r.Header.Set("Accept", "text/html")
	for name, value := range v.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	recorder := httptest.NewRecorder()
	v.app.ServeHTTP(recorder, r)
	for _, c := range recorder.Result().Cookies() {
		v.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		}
	}
	return recorder
}
