package server

import (
	"net/http"
	"net/netip"
	"testing"
)

// Only a trusted proxy says who the client is, and only about the connection that it got
// itself.
func TestPeerIsTheNearestAddressThatIsNoTrustedProxy(t *testing.T) {
	for _, x := range []struct {
		trusted       string
		remote        string
		forwarded     []string
		text, address string
	}{
		{"", "127.0.0.1:5", nil, "127.0.0.1:5", "local"},
		{"", "[::1]:5", nil, "[::1]:5", "local"},
		{"", "@", nil, "@", "local"},
		{"", "203.0.113.7:5", nil, "203.0.113.7:5", "203.0.113.7"},
		{"", "[::ffff:203.0.113.7]:5", nil, "[::ffff:203.0.113.7]:5", "203.0.113.7"},
		{"", "[2001:db8:1:2:3::4]:5", nil, "[2001:db8:1:2:3::4]:5", "2001:db8:1:2::/64"},
		{"", "[fe80::1%eth0]:5", nil, "[fe80::1%eth0]:5", "fe80::/64"},
		{"", "127.0.0.1:5", []string{"203.0.113.7"}, "127.0.0.1:5", "local"},
		{"127.0.0.1", "127.0.0.1:5", nil, "127.0.0.1:5", "local"},
		{"127.0.0.1", "127.0.0.1:5", []string{"203.0.113.7"}, "203.0.113.7", "203.0.113.7"},
		{"127.0.0.1", "[::1]:5", []string{"203.0.113.7"}, "[::1]:5", "local"},
		{"127.0.0.1", "127.0.0.1:5", []string{"198.51.100.1, 203.0.113.7"}, "203.0.113.7", "203.0.113.7"},
		{"127.0.0.1", "127.0.0.1:5", []string{"198.51.100.1", "203.0.113.7"}, "203.0.113.7", "203.0.113.7"},
		{"127.0.0.1", "127.0.0.1:5", []string{"127.0.0.1, 203.0.113.7:1234"}, "203.0.113.7", "203.0.113.7"},
		{"127.0.0.1", "127.0.0.1:5", []string{"[2001:db8::1]:1234"}, "2001:db8::1", "2001:db8::/64"},
		{"127.0.0.1,203.0.113.0/24", "127.0.0.1:5", []string{"198.51.100.1, 203.0.113.7"}, "198.51.100.1", "198.51.100.1"},
		{"203.0.113.0/24", "203.0.113.9:5", []string{"198.51.100.1, unknown"}, "203.0.113.9:5", "203.0.113.9"},
		{"unix", "@", []string{"203.0.113.7"}, "203.0.113.7", "203.0.113.7"},
		{"unix", "127.0.0.1:5", []string{"203.0.113.7"}, "127.0.0.1:5", "local"},
	} {
		var o Options
		for p := range splitComma(x.trusted) {
			proxy, err := ParseProxy(p)
			if err != nil {
				t.Fatal(err)
			}
			o.TrustedProxies = append(o.TrustedProxies, proxy)
		}
		r := &http.Request{RemoteAddr: x.remote, Header: http.Header{"X-Forwarded-For": x.forwarded}}
		if p := o.peerOf(r); p.text != x.text || p.String() != x.address {
			t.Errorf("%+v: %s, %s", x, p.text, p)
		}
	}
}

func TestParseProxyRefusesNames(t *testing.T) {
	for _, s := range []string{"", "localhost", "127.0.0.1:80", "10.0.0.0/33", "fe80::1%eth0"} {
		if p, err := ParseProxy(s); err == nil {
			t.Errorf("%q is %v", s, p)
		}
	}
	if p, err := ParseProxy("10.1.2.3/8"); err != nil || p != netip.MustParsePrefix("10.0.0.0/8") {
		t.Errorf("%v, %v", p, err)
	}
}
