package testserver

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"syscall"
)

// Kill ends the server at once, as kill -9 or a power cut does, and keeps its directory for Restart.
func (r *Redis) Kill() { r.crash(os.Kill) }

// Restart runs the server again after Kill, at the same address, on what it had written ("--appendonly", "yes").
func (r *Redis) Restart() (err error) {
	r.process, err = r.again(regexp.MustCompile(`Ready to accept connections`))
	return err
}

// Kill ends the server at once, without a checkpoint, and keeps its directory for Restart. It is PostgreSQL's immediate shutdown,
// which leaves the disk as a crash does, but no process that is still about to die.
func (p *Postgres) Kill() { p.crash(syscall.SIGQUIT) }

// Restart runs the server again after Kill, at the same address; it recovers first.
func (p *Postgres) Restart() (err error) {
	p.process, err = p.again(regexp.MustCompile(`database system is ready to accept (read-only )?connections`))
	return err
}

func (p *process) crash(signal os.Signal) {
	_ = p.command.Process.Signal(signal)
	<-p.exited
}

// again runs what was run, in the same directory. On an error p stays, for Stop.
func (p *process) again(ready *regexp.Regexp) (*process, error) {
	command := exec.Command(p.command.Path, p.command.Args[1:]...)
	if old := p.command.SysProcAttr; old != nil {
		attributes := *old
		command.SysProcAttr = &attributes
	}
	running.Delete(p)
	next, err := start(command, p.directory, p.stop, ready)
	if err != nil {
		return p, errors.Join(errors.New("it does not start again"), err)
	}
	return next, nil
}
