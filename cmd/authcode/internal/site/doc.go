// Package site is the pages of a small web app whose users sign in with package signin: who they are, what they have in storage,
// a page that wants more proof of them, and the browsers they are signed in with.
//
// It needs the standard library, authcode and signin. `authcode demo --serve` serves a copy of it.
package site
