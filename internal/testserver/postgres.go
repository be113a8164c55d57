package testserver

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

const (
	postgresUser     = "postgres" // the role and the account, as Debian's package makes it
	postgresPrograms = "/usr/lib/postgresql/*/bin"
)

// Postgres is a running PostgreSQL with one superuser.
type Postgres struct {
	*process
	// URL connects to it.
	URL string

	port int
	data string
}

// StartPostgres makes a cluster and runs it, with settings such as "max_connections=20" besides its own.
func StartPostgres(settings ...string) (*Postgres, error) {
	initdb, err := find("initdb", "postgresql", postgresPrograms)
	if err != nil {
		return nil, err
	}
	as, err := unprivileged(postgresUser)
	if err != nil {
		return nil, err
	}
	directory, err := newDirectory(as)
	if err != nil {
		return nil, err
	}
	password := newPassword()
	if err := initialize(initdb, directory, password, as); err != nil {
		_ = os.RemoveAll(directory)
		return nil, err
	}
	server, err := startPostgres(directory, password, as, settings)
	if err != nil {
		_ = os.RemoveAll(directory)
	}
	return server, err
}

func initialize(initdb, directory, password string, as *account) error {
	passwordFile := filepath.Join(directory, "password")
	if err := writeFor(as, passwordFile, password); err != nil {
		return err
	}
	command := as.run(exec.Command(initdb, "--pgdata", filepath.Join(directory, "data"), "--username", postgresUser,
		"--pwfile", passwordFile, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"))
	command.Dir = directory
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, output)
	}
	return nil
}

func startPostgres(directory, password string, as *account, settings []string) (*Postgres, error) {
	program, err := find("postgres", "postgresql", postgresPrograms)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(directory, "data")
	return onFreePort(func(port int) (*Postgres, error) {
		arguments := []string{"-D", data, "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-k", directory}
		for _, s := range settings {
			arguments = append(arguments, "-c", s)
		}
		p, err := start(as.run(exec.Command(program, arguments...)), directory, quickly,
			regexp.MustCompile(`database system is ready to accept (read-only )?connections`))
		if err != nil {
			return nil, err
		}
		return &Postgres{process: p, URL: postgresURL(port, password), port: port, data: data}, nil
	})
}

func postgresURL(port int, password string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword(postgresUser, password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/postgres", RawQuery: "sslmode=disable",
	}).String()
}

// Standby stops p and runs its data again as a standby does, which follows nobody: read-only. What p was is gone.
func (p *Postgres) Standby() (*Postgres, error) {
	as, err := unprivileged(postgresUser)
	if err != nil {
		return nil, err
	}
	running.Delete(p.process)
	p.end()
	if err := writeFor(as, filepath.Join(p.data, "standby.signal"), ""); err != nil {
		return nil, err
	}
	return startPostgres(p.directory, p.password(), as, nil)
}

func (p *Postgres) password() string {
	u, err := url.Parse(p.URL)
	if err != nil {
		panic(err) // it is ours
	}
	password, _ := u.User.Password()
	return password
}

func writeFor(as *account, path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return as.own(path)
}
