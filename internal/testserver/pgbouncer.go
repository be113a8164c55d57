package testserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// PgBouncer is a running connection pooler.
type PgBouncer struct {
	*process
	// URL connects to the server behind it.
	URL string
}

// StartPgBouncer runs one in front of p that gives a server connection to a client for one transaction, and has so few that
// clients share them.
func (p *Postgres) StartPgBouncer() (*PgBouncer, error) {
	program, err := find("pgbouncer", "pgbouncer", "/usr/sbin")
	if err != nil {
		return nil, err
	}
	as, err := unprivileged(postgresUser)
	if err != nil {
		return nil, err
	}
	return onFreePort(func(port int) (*PgBouncer, error) {
		directory, err := newDirectory(as)
		if err != nil {
			return nil, err
		}
		b, err := p.startPgBouncer(program, directory, as, port)
		if err != nil {
			_ = os.RemoveAll(directory)
		}
		return b, err
	})
}

func (p *Postgres) startPgBouncer(program, directory string, as *account, port int) (*PgBouncer, error) {
	users, settings := filepath.Join(directory, "users"), filepath.Join(directory, "settings")
	if err := writeFor(as, users, fmt.Sprintf("%q %q\n", postgresUser, p.password())); err != nil {
		return nil, err
	}
	if err := writeFor(as, settings, strings.Join([]string{
		"[databases]",
		fmt.Sprintf("postgres = host=127.0.0.1 port=%d", p.port),
		"[pgbouncer]",
		"listen_addr = 127.0.0.1",
		fmt.Sprintf("listen_port = %d", port),
		"unix_socket_dir =",
		"auth_type = scram-sha-256",
		"auth_file = " + users,
		"pool_mode = transaction",
		"default_pool_size = 3",
	}, "\n")); err != nil {
		return nil, err
	}
	process, err := start(as.run(exec.Command(program, settings)), directory, politely, regexp.MustCompile(`process up`))
	if err != nil {
		return nil, err
	}
	return &PgBouncer{process: process, URL: postgresURL(port, p.password())}, nil
}
