// Preloaded into every server (node --import): it ends when the test that started it closes its standard input or dies,
// so that no server outlives its test.
process.stdin.on('close', () => process.exit());
process.stdin.resume();
