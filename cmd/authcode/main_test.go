package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"authcode": main}) }

func TestScripts(t *testing.T) {
	pair := newCertificate(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               func(env *testscript.Env) error { return setUp(env, pair) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await-output":    awaitOutput,
			"await-request":   awaitRequest,
			"chmod-file":      setMode,
			"end-emulator":    endEmulator,
			"exec-code":       execCode,
			"hold-tokens":     holdTokens,
			"json":            checkJSON,
			"mode":            checkMode,
			"no-secrets":      noSecrets,
			"posts":           checkPosts,
			"signin":          signInByHand,
			"signin-at":       signInAt,
			"sign-in-to-app":  signInToApp,
			"start-demo":      startDemoProcess,
			"start-emulator":  startEmulatorProcess,
			"token":           checkToken,
			"verifier-to-env": verifierToEnv,
		},
		Condition: func(condition string) (bool, error) {
			return condition == "root" && os.Geteuid() == 0, nil
		},
	})
}
