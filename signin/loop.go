package signin

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	loopCount  = 3
	loopWindow = time.Minute
	loopKept   = 8
)

// A loop is a page that sends the user to sign in, gets them back, and sends them again. It is counted in a cookie of the browser:
// it must be seen where the session is what gets lost, and it protects nobody but the one who holds it. Several pages that are
// opened at once are no loop, so each is counted for itself.

func (h *Handler) loopCookieName() string { return h.cookieName("-loop") }

// landings gives the marks of sign-ins within the last minute: a short hash of where they led, and when they ended.
func (h *Handler) recentLandings(r *http.Request, now time.Time) []string {
	c, err := r.Cookie(h.loopCookieName())
	if err != nil || len(c.Value) > 1024 {
		return nil
	}
	var recent []string
	for mark := range strings.SplitSeq(c.Value, ".") {
		_, when, _ := strings.Cut(mark, "~")
		if at, err := strconv.ParseInt(when, 36, 64); err == nil && now.Unix()-at <= int64(loopWindow/time.Second) {
			recent = append(recent, mark)
		}
	}
	return recent[max(0, len(recent)-loopKept):]
}

func loopMark(returnTo string) string {
	sum := sha256.Sum256([]byte(returnTo))
	return base64.RawURLEncoding.EncodeToString(sum[:6]) + "~"
}

func (h *Handler) isLoop(r *http.Request, returnTo string) bool {
	count, mark := 0, loopMark(returnTo)
	for _, recent := range h.recentLandings(r, time.Now()) {
		if strings.HasPrefix(recent, mark) {
			count++
		}
	}
	return count >= loopCount
}

func (h *Handler) countLoop(w http.ResponseWriter, r *http.Request, returnTo string) {
	now := time.Now()
	marks := append(h.recentLandings(r, now), loopMark(returnTo)+strconv.FormatInt(now.Unix(), 36))
	http.SetCookie(w, h.cookie(h.loopCookieName(), strings.Join(marks, "."), loopWindow))
}
