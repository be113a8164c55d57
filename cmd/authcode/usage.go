package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError is a mistake in how the command was called.
type usageError struct {
	command string // whose --help tells more
	text    string
}

// Error implements error.
func (e *usageError) Error() string { return e.text }

func misused(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{command: cmd.CommandPath(), text: fmt.Sprintf(format, args...)}
}

// wrongFlag is cobra's FlagErrorFunc. What follows a single dash is not repeated: it may be a secret that was meant for
// a flag there is not.
func wrongFlag(cmd *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() != "" {
		return misused(cmd, "no flag has one letter, but -h")
	}
	return misused(cmd, "%s", err)
}

// noArguments refuses arguments without repeating them, since what people are tempted to put there is a code.
func noArguments(because string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return misused(cmd, "%s takes no arguments%s", cmd.Name(), because)
	}
}

var commandLike = regexp.MustCompile(`^[a-z][a-z-]{0,15}$`)

// knownCommand is for the root, which gets the arguments that name no command.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !commandLike.MatchString(args[0]) {
		return misused(cmd, "the first argument is not a command")
	}
	text := fmt.Sprintf("there is no command %q", args[0])
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		text += ": did you mean " + strings.Join(like, " or ") + "?"
	}
	return misused(cmd, "%s", text)
}

// requireFlags names all required flags that are missing, at once.
func requireFlags(cmd *cobra.Command, names ...string) error {
	var missing []string
	for _, name := range names {
		if value := cmd.Flag(name).Value.String(); value == "" || value == "[]" {
			missing = append(missing, "--"+name)
		}
	}
	if len(missing) > 0 {
		return misused(cmd, "missing: %s", strings.Join(missing, ", "))
	}
	return nil
}
