package bench

// random picks an account for each operation: xorshift64, two nanoseconds in every row alike.
type random uint64

func (r *random) below(n int) int {
	x := *r
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	*r = x
	return int(uint64(x>>32) * uint64(n) >> 32)
}
