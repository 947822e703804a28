/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The one list of outcomes. Every packet that a program sees ends in exactly one of them.
 *
 * tools/gen_abi.py makes datapath/reasons.py and docs/operations/reasons.md from the lines
 * below: REASON(name, where, what became of the packet, text). Append only.
 */
#ifndef POINTSMAN_REASONS_H
#define POINTSMAN_REASONS_H

#define REASONS(REASON) \
	REASON(NOT_OURS, both, passed, "neither for a VIP nor from the tunnel") \
	REASON(HIT, unit, forwarded, "forwarded by its route") \
	REASON(BUNDLED_SYN, unit, forwarded, "first packet of a plain connection, sent as a bundle") \
	REASON(BUNDLED_DATA, unit, forwarded, "first data of an inspected connection, sent as a bundle") \
	REASON(BUNDLED_AGAIN, unit, forwarded, "first packet repeated by the client, sent as a bundle again") \
	REASON(TAUGHT, unit, forwarded, "sent as a bundle, because the host had lost the mapping") \
	REASON(TAUGHT_ONLY, unit, forwarded, "its headers sent to teach the host; too long to bundle whole") \
	REASON(SYN_ANSWERED, unit, answered, "SYN of an inspected service, answered with a cookie") \
	REASON(HANDSHAKE_ACK, unit, swallowed, "end of a handshake with the cookie; nothing to send yet") \
	REASON(NOTICE, unit, swallowed, "notice of a host that lost mappings") \
	REASON(UNIT_MALFORMED, unit, dropped, "headers that contradict themselves or the packet's length") \
	REASON(UNIT_FRAGMENT, unit, dropped, "fragment of a SYN, of first data or of a protocol that is no service") \
	REASON(IP_OPTIONS, unit, dropped, "more extension headers than are looked at, or some behind a fragment header") \
	REASON(BAD_CHECKSUM, unit, dropped, "wrong TCP checksum in a packet that decides or answers") \
	REASON(BAD_FLAGS, unit, dropped, "TCP flags that no stack sends together") \
	REASON(NO_SERVICE, unit, dropped, "for a VIP, on a port that is no service") \
	REASON(NO_ROUTE, unit, dropped, "mid-connection packet with no route") \
	REASON(BAD_COOKIE, unit, dropped, "data that no handshake of ours preceded, or too long ago") \
	REASON(NO_HOST, unit, dropped, "no host of the pool can take it") \
	REASON(TTL_EXPIRED, unit, dropped, "time to live used up") \
	REASON(TOO_BIG, unit, dropped, "first data too long to bundle: the client ignores our MSS") \
	REASON(BAD_NOTICE, unit, dropped, "notice that is not one of our hosts'") \
	REASON(UNIT_INTERNAL, unit, dropped, "the kernel refused a map update or a change of size") \
	REASON(RESTORED, host, passed, "flow id turned back into the client's addresses and ports") \
	REASON(SYN_TAUGHT, host, passed, "SYN bundle: mapping learnt, SYN to the listener") \
	REASON(UPLOADED, host, passed, "connection uploaded into the stack") \
	REASON(REPEATED, host, passed, "first data again, of a connection that is there") \
	REASON(HOST_TAUGHT, host, passed, "mapping learnt in mid-connection") \
	REASON(HOST_TAUGHT_ONLY, host, swallowed, "mapping learnt from headers alone") \
	REASON(NO_LISTENER, host, passed, "nobody listens: the stack answers with RST") \
	REASON(OLD_SOCKET, host, passed, "a RST in the client's name ends an old connection on the same 4-tuple") \
	REASON(UNKNOWN_FLOW_ID, host, answered, "flow id with no mapping: turned into a notice to the unit") \
	REASON(EARLY, host, dropped, "its connection is not there, or not yet: the client repeats it") \
	REASON(HOST_MALFORMED, host, dropped, "headers that contradict themselves or the packet's length") \
	REASON(BAD_TAG, host, dropped, "bundle with a wrong tag or version") \
	REASON(OLD_SOCKET_STAYS, host, dropped, "the old connection's socket outlived its RST") \
	REASON(UPLOAD_REFUSED, host, dropped, "the kernel refused the upload") \
	REASON(HOST_INTERNAL, host, dropped, "the kernel refused a map update or a change of size") \
	REASON(PROBE_ANSWERED, unit, answered, "keep-alive probe of a connection that waits for its first data") \
	REASON(OVER, host, passed, "first data again, of a connection that is over: the stack answers with RST") \
	REASON(PLUMBED, unit, forwarded, "first packet of a connection, sent as it will be from now on") \
	REASON(BUNDLED_DATAGRAM, unit, forwarded, "first packet of a flow that is no TCP, sent as a bundle") \
	REASON(OTHER_PORT, unit, passed, "for a VIP, on a port that is no service: left to the unit's own stack") \
	REASON(DATAGRAM_TAUGHT, host, passed, "datagram bundle: mapping learnt, datagram to the stack") \
	REASON(OTHER_PROTOCOL, host, dropped, "flow id of a connection of another protocol") \
	REASON(UNKNOWN_ENDPOINT, host, dropped, "bundle for an endpoint that the host does not have") \
	REASON(TUPLE_TAKEN, host, dropped, "its client, port and endpoint serve another virtual IP now") \
	REASON(ICMP_PASSED, host, passed, "ICMP error about a connection of the host's, given to the stack") \
	REASON(FRAGMENT_RESTORED, host, passed, "later fragment: its addresses turned as its first one's") \
	REASON(FRAGMENT_EARLY, host, dropped, "later fragment whose first one has not been seen") \
	REASON(OUT_TURNED, host, passed, "leaves an endpoint of its own: sent in the virtual IP's name") \
	REASON(OUT_OTHER, host, passed, "leaves the host, and no connection of an endpoint of its own") \
	REASON(RETURNED, unit, forwarded, "answer of half-NAT or NAT, turned back and sent to the client") \
	REASON(TRANSLATION_TAKEN, unit, dropped, "half-NAT or NAT: another connection's answers have these addresses and ports") \
	REASON(NO_NAT_PORT, unit, dropped, "NAT: no port of ours found for a new connection") \
	REASON(ECHO_ANSWERED, unit, answered, "echo request to a VIP") \
	REASON(ICMP_SENT, unit, forwarded, "ICMP error about a connection, sent to its host") \
	REASON(ICMP_RETURNED, unit, forwarded, "ICMP error about a packet on its way to a host, sent to the client") \
	REASON(ICMP_HANDED_ON, unit, forwarded, "ICMP error about no route of this unit's, sent to the next unit") \
	REASON(ICMP_NO_ROUTE, unit, dropped, "ICMP error about no connection, as far as the units know") \
	REASON(ICMP_STRANGE, unit, dropped, "ICMP error to a VIP that quotes none of its packets, or too little of one") \
	REASON(ICMP_OTHER, unit, dropped, "ICMP for a VIP that is neither an echo request nor an error") \
	REASON(NO_WAY_BACK, unit, dropped, "ICMP error for a client, but there is no default route") \
	REASON(NEIGHBOUR, unit, passed, "neighbour discovery for a VIP, left to the unit's own stack") \
	REASON(FRAGMENT_SENT, unit, forwarded, "fragment, sent along the route of its packet") \
	REASON(TINY_FRAGMENT, unit, dropped, "first fragment without the whole TCP or UDP header, or one that hides it") \
	REASON(LATER_FRAGMENT, unit, dropped, "later fragment whose first one was not seen, or sent") \
	REASON(SOURCE_ROUTED, unit, dropped, "source route or routing header that names further hops")

#define REASON_ENUM(name, where, outcome, text) REASON_##name,
enum reason { REASONS(REASON_ENUM) REASON_COUNT };

#endif
