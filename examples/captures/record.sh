#!/bin/bash
# Records the captures of this folder: real exchanges between two network namespaces that are joined by a veth pair.
# Needs root, iproute2, ethtool, tcpdump, editcap, python3, curl, dnsmasq, dig, ping, nmap, and what ../build.sh needs.
# (Debian: iproute2 ethtool tcpdump wireshark-common python3 curl dnsmasq-base bind9-dnsutils iputils-ping nmap)
#
#   examples/captures/record.sh [FOLDER]      default: this folder
#
#   mixed.pcap     all of it: ARP, neighbour discovery, ping (also in fragments), DNS, HTTP, a port scan, a VLAN
#   ipv6.pcap      ping, DNS and HTTP over IPv6
#   vlan.pcap      ping and HTTP inside VLAN 42
#   nano.pcapng    DNS and HTTP, time stamps in nanoseconds, pcapng
#   any.pcap       ping and HTTP as the "any" device sees them (Linux cooked v2)
set -euo pipefail
out=$(realpath "${1:-$(dirname "$0")}")
work=$(mktemp -d)
server=skep-server-$$
client=skep-client-$$
dump=

cleanup() {
	for namespace in "$server" "$client"; do
		ip netns pids "$namespace" 2>/dev/null | xargs -r kill 2>/dev/null || true
		ip netns del "$namespace" 2>/dev/null || true
	done
	rm -rf "$work"
}
trap cleanup EXIT

on_server() { ip netns exec "$server" "$@"; }
on_client() { ip netns exec "$client" "$@"; }

join() {
	ip netns add "$server"
	ip netns add "$client"
	ip -n "$server" link add veth0 address 02:07:00:00:00:01 type veth \
		peer name veth0 address 02:07:00:00:00:02 netns "$client"
	local host
	for namespace in "$server" "$client"; do
		[ "$namespace" = "$server" ] && host=1 || host=2
		# Packets as a wire would carry them: whole checksums, nothing larger than the MTU.
		ip netns exec "$namespace" ethtool -K veth0 tx off rx off tso off gso off gro off txvlan off rxvlan off >/dev/null 2>&1 || true
		ip -n "$namespace" addr add "10.7.0.$host/24" dev veth0
		ip -n "$namespace" addr add "fd07::$host/64" dev veth0 nodad
		ip -n "$namespace" addr add "10.42.0.$host/24" dev veth0
		ip netns exec "$namespace" tc qdisc add dev veth0 clsact
		ip netns exec "$namespace" tc filter add dev veth0 egress bpf da obj "$work/vlan_tag.o" sec tc/egress
		ip netns exec "$namespace" tc filter add dev veth0 ingress bpf da obj "$work/vlan_tag.o" sec tc/ingress
		ip -n "$namespace" link set lo up
		ip -n "$namespace" link set veth0 up
	done
	ip -n "$client" addr add 10.7.0.3/24 dev veth0
	ip -n "$client" addr add 10.7.0.9/24 dev veth0
	ip -n "$client" addr add fd07::3/64 dev veth0 nodad
	sleep 2
}

serve() {
	mkdir "$work/site"
	printf '<!doctype html>\n<title>skep</title>\n<p>It works.</p>\n' >"$work/site/index.html"
	seq 1 1500 >"$work/site/numbers.txt"
	on_server python3 -m http.server --bind :: --directory "$work/site" 8080 >/dev/null 2>&1 &
	on_server dnsmasq --no-daemon --no-resolv --no-hosts --pid-file= --user=root --log-facility=/dev/null \
		--address=/web.skep.test/10.7.0.1 --address=/web.skep.test/fd07::1 --local=/skep.test/ \
		--txt-record=about.skep.test,"a record with some text in it" >/dev/null 2>&1 &
	sleep 1
}

# start FILE INTERFACE [FILTER...]: records until `stop`.
start() {
	local file=$1 interface=$2
	shift 2
	# Not by on_server: a function in the background is a shell, and the signal has to reach tcpdump.
	ip netns exec "$server" tcpdump -i "$interface" -U -w "$work/$file" $precision "$@" >/dev/null 2>&1 &
	dump=$!
	sleep 1
}
stop() {
	sleep 1
	kill -TERM "$dump"
	wait "$dump" || true
}
precision=

quiet() { "$@" >/dev/null 2>&1 || true; }
get() { quiet on_client curl -s -m 5 -o /dev/null "$@"; }
ask() { quiet on_client dig +tries=1 +time=2 "$@"; }
reach() { quiet on_client ping -i 0.2 -W 1 "$@"; }

# A VLAN without the kernel's VLAN devices: see vlan_tag.c.
"${CLANG:-clang-19}" -O2 -g -target bpf -mcpu=v3 -idirafter "/usr/include/$(uname -m)-linux-gnu" \
	-c "$(dirname "$0")/vlan_tag.c" -o "$work/vlan_tag.o"
join
serve

start mixed.pcap veth0 'not port 5353'
reach -c 3 10.7.0.1
reach -c 1 -s 2500 10.7.0.1
reach -c 2 fd07::1
ask @10.7.0.1 web.skep.test A
ask @10.7.0.1 web.skep.test AAAA
ask @10.7.0.1 nothing.skep.test A
ask @10.7.0.1 about.skep.test TXT +tcp
ask @fd07::1 web.skep.test A
get http://10.7.0.1:8080/
get http://10.7.0.1:8080/numbers.txt
get --interface 10.7.0.3 http://10.7.0.1:8080/missing
get --interface 10.7.0.3 -X POST -d name=value http://10.7.0.1:8080/
get -g 'http://[fd07::1]:8080/'
get -g --interface fd07::3 'http://[fd07::1]:8080/'
get http://10.42.0.1:8080/
reach -c 1 10.42.0.1
quiet on_client nmap -sS -n -Pn --max-retries 0 -S 10.7.0.9 -e veth0 -p 1-120 10.7.0.1
quiet on_client nmap -sS -n -Pn --max-retries 0 --ttl 1 -S 10.7.0.9 -e veth0 -p 8080-8081 10.7.0.1
stop

start ipv6.pcap veth0 ip6
reach -c 2 fd07::1
reach -c 1 -s 2000 fd07::1
ask @fd07::1 web.skep.test AAAA
get -g 'http://[fd07::1]:8080/'
stop

start vlan.pcap veth0 vlan 42
reach -c 3 10.42.0.1
get http://10.42.0.1:8080/
stop

precision=--time-stamp-precision=nano
start nano.pcap veth0 'port 53 or port 8080'
ask @10.7.0.1 web.skep.test A
get http://10.7.0.1:8080/
stop
precision=
editcap -F pcapng "$work/nano.pcap" "$work/nano.pcapng"

start any.pcap any
reach -c 2 10.7.0.1
get http://10.7.0.1:8080/
stop

for file in mixed.pcap ipv6.pcap vlan.pcap nano.pcapng any.pcap; do
	install -m 644 "$work/$file" "$out/$file"
	printf '%-12s %6d bytes %5d packets\n' "$file" "$(stat -c %s "$out/$file")" \
		"$(tcpdump -nr "$out/$file" 2>/dev/null | wc -l)"
done
