module github.com/authcode-go/authcode/cmd/authcode

go 1.26.0

require github.com/authcode-go/authcode v0.0.0

replace github.com/authcode-go/authcode => ../..
