/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reads an HTTP/1.x request head (RFC 9112) out of one segment and looks its parts up.
 *
 * A step a byte, but for parts where nothing but the line's end matters: the table of states below
 * is the whole grammar that routing needs. Where a part ends (method, authority, path, parameter,
 * header, cookie pair), its text is looked up and the rules it satisfies are noted in
 * scratch->found. What this reader does not understand to the last byte it leaves undecided; it
 * never guesses.
 *
 *   METHOD ' ' TARGET ' ' VERSION '\n' { NAME ':' VALUE '\n' } '\n'
 *   TARGET is '/' PATH [ '?' PARAMETER { '&' PARAMETER } ]  or  "http://" AUTHORITY then the same
 */
#ifndef POINTSMAN_HTTP_H
#define POINTSMAN_HTTP_H

#include "base.h"
#include "conditions.h"
#include "scratch.h"

enum http_state {
	HTTP_METHOD,
	HTTP_TARGET, /* its first byte */
	HTTP_SCHEME, /* up to the second '/' */
	HTTP_AUTHORITY,
	HTTP_PATH,
	HTTP_QUERY, /* a parameter of it, up to '&' */
	HTTP_FRAGMENT, /* no client should send one */
	HTTP_VERSION,
	HTTP_LINE, /* first byte of a header line */
	HTTP_NAME,
	HTTP_VALUE,
	HTTP_UNASKED, /* a value that no rule asks for */
	HTTP_LAST_LF, /* after the CR that ends the head */
	HTTP_DONE,
	HTTP_BROKEN,
};

enum http_field {
	FIELD_OTHER,
	FIELD_HOST,
	FIELD_COOKIE,
};

struct http_reader {
	struct scratch *s;
	__u32 pos; /* of the byte to read, in s->segment */
	__u32 end;
	__u32 start; /* of the part being read */
	__u32 stop; /* after the last byte of it that counts: trailing white space does not */
	__u32 name; /* start of the header name */
	__u32 name_bytes;
	__u8 state; /* enum http_state */
	__u8 field; /* enum http_field */
	__u8 slashes;
	bool has_authority; /* it beats the Host header, RFC 9112 §3.2.2 */
	bool bracket; /* inside an IPv6 literal */
	bool colon; /* the host's port follows: no longer counts */
};

static __always_inline bool asks_headers(const struct scratch *s)
{
	return asks(s, MATCH_HOST) || asks(s, MATCH_COOKIE) || asks(s, MATCH_HEADER) ||
	       asks(s, MATCH_HEADER_PREFIX);
}

static __always_inline void end_of_path(const struct http_reader *r)
{
	if (asks(r->s, MATCH_PATH))
		look_up(MATCH_PATH, r->start, r->pos - r->start, 0, 0);
	if (asks(r->s, MATCH_PREFIX))
		look_up_prefix(MATCH_PREFIX, r->start, r->pos - r->start, 0, 0);
}

static __always_inline void end_of_parameter(const struct http_reader *r)
{
	if (asks(r->s, MATCH_QUERY))
		look_up(MATCH_QUERY, r->start, r->pos - r->start, 0, 0);
}

/* Which header is it? Names are in lower case by now. */
static __always_inline enum http_field field_of(const struct http_reader *r)
{
	if (r->name_bytes == 4 && segment_begins(r->s, r->name, "host", 4))
		return FIELD_HOST;
	if (r->name_bytes == 6 && segment_begins(r->s, r->name, "cookie", 6))
		return FIELD_COOKIE;
	return FIELD_OTHER;
}

static __always_inline void end_of_value(const struct http_reader *r)
{
	__u32 bytes = r->stop - r->start;

	if (r->field == FIELD_COOKIE) {
		look_up(MATCH_COOKIE, r->start, bytes, 0, 0);
		return;
	}
	if (r->field == FIELD_HOST) {
		look_up_name(r->start, bytes);
		return;
	}
	if (asks(r->s, MATCH_HEADER))
		look_up(MATCH_HEADER, r->start, bytes, r->name, r->name_bytes);
	if (asks(r->s, MATCH_HEADER_PREFIX))
		look_up_prefix(MATCH_HEADER_PREFIX, r->start, bytes, r->name, r->name_bytes);
}

static __always_inline bool is_token(__u8 c)
{
	return c > ' ' && c < 127 && c != ':' && c != '"' && c != '(' && c != ')' && c != ',' &&
	       c != '/' && c != ';' && c != '<' && c != '=' && c != '>' && c != '?' && c != '@' &&
	       c != '[' && c != '\\' && c != ']' && c != '{' && c != '}';
}

static __always_inline void begin(struct http_reader *r, enum http_state state, __u32 at)
{
	r->state = state;
	r->start = at;
	r->stop = at;
}

/* A byte of a host name, in a Host header or an absolute target. */
static __always_inline void host_byte(struct http_reader *r, __u8 c)
{
	if (c == '[')
		r->bracket = true;
	else if (c == ']')
		r->bracket = false;
	else if (c == ':' && !r->bracket)
		r->colon = true;
	if (!r->colon)
		r->stop = r->pos + 1;
}

static __always_inline void begin_host(struct http_reader *r)
{
	r->bracket = false;
	r->colon = false;
}

static __always_inline void value_byte(struct http_reader *r, __u8 c)
{
	if (c == '\r' || c == '\n') {
		if (c == '\n') {
			end_of_value(r);
			begin(r, HTTP_LINE, r->pos + 1);
		}
		return;
	}
	if (r->field == FIELD_COOKIE && c == ';') {
		end_of_value(r);
		begin(r, HTTP_VALUE, r->pos + 1);
	} else if (c == ' ' || c == '\t') {
		if (r->start == r->pos)
			r->start = r->stop = r->pos + 1;
	} else if (r->field == FIELD_HOST) {
		host_byte(r, c);
	} else {
		r->stop = r->pos + 1;
	}
}

static __always_inline void line_byte(struct http_reader *r, __u8 c)
{
	if (c == '\n')
		r->state = HTTP_DONE;
	else if (c == '\r')
		r->state = HTTP_LAST_LF;
	else if (is_token(c)) {
		begin(r, HTTP_NAME, r->pos);
		r->name = r->pos;
	} else {
		r->state = HTTP_BROKEN; /* a folded line, among others */
	}
}

static __always_inline void begin_after_path(struct http_reader *r, __u8 c)
{
	begin(r, c == ' ' ? HTTP_VERSION : c == '#' ? HTTP_FRAGMENT : HTTP_QUERY, r->pos + 1);
}

static __always_inline void target_byte(struct http_reader *r, __u8 c)
{
	if (c <= ' ' && !(c == ' ' && r->state >= HTTP_PATH)) {
		r->state = HTTP_BROKEN;
		return;
	}
	switch (r->state) {
	case HTTP_TARGET:
		begin(r, c == '/' ? HTTP_PATH : HTTP_SCHEME, r->pos);
		break;
	case HTTP_SCHEME:
		if (c == '/' && ++r->slashes == 2) {
			begin(r, HTTP_AUTHORITY, r->pos + 1);
			begin_host(r);
			r->has_authority = true;
		}
		break;
	case HTTP_AUTHORITY:
		if (c == '/') {
			if (asks(r->s, MATCH_HOST))
				look_up_name(r->start, r->stop - r->start);
			begin(r, HTTP_PATH, r->pos);
		} else {
			host_byte(r, c);
		}
		break;
	case HTTP_PATH:
		if (c == ' ' || c == '?' || c == '#') {
			end_of_path(r);
			begin_after_path(r, c);
		}
		break;
	case HTTP_QUERY:
		if (c == ' ' || c == '&' || c == '#') {
			end_of_parameter(r);
			begin_after_path(r, c);
		}
		break;
	default:
		if (c == ' ')
			begin(r, HTTP_VERSION, r->pos + 1);
	}
}

/* Whether segment[start, pos), the CR included, is a version that we know. */
static __always_inline bool is_http1(const struct http_reader *r)
{
	return r->pos - r->start >= 8 && segment_begins(r->s, r->start, "HTTP/1.", 7);
}

/* Headers are read only if some rule asks for them. */
static __always_inline enum http_state end_of_request_line(const struct http_reader *r)
{
	if (!is_http1(r))
		return HTTP_BROKEN;
	return asks_headers(r->s) ? HTTP_LINE : HTTP_DONE;
}

/* Whether a rule looks at the values of the header whose name was read. */
static __always_inline bool asks_value(const struct http_reader *r)
{
	if (r->field == FIELD_COOKIE)
		return asks(r->s, MATCH_COOKIE);
	if (r->field == FIELD_HOST)
		return asks(r->s, MATCH_HOST) && !r->has_authority;
	return asks(r->s, MATCH_HEADER) || asks(r->s, MATCH_HEADER_PREFIX);
}

#define EACH_BYTE 0x0101010101010101ULL

/* Where the line ends that holds segment[pos]; `end` if that is not before it. A word at a time. */
__noinline int line_feed(__u32 pos, __u32 end)
{
	struct scratch *s = scratch_get();

	if (!s)
		return end;
	for (int i = 0; i < SEGMENT_MAX / 8 && pos < end; i++, pos += 8) {
		__u64 word, hit;

		barrier_var(pos);
		if (pos >= SEGMENT_MAX)
			break;
		word = *(const __u64 *)(s->segment + pos) ^ '\n' * EACH_BYTE;
		hit = (word - EACH_BYTE) & ~word & 0x80 * EACH_BYTE; /* lowest bit: of the first 0 */
		if (hit) {
			pos += lowest_bit(hit) / 8;
			return pos < end ? pos : end;
		}
	}
	return end;
}

static long http_step(__u32 index, void *context)
{
	struct http_reader *r = context;
	__u32 pos = r->pos;
	__u8 c;

	if (pos >= r->end || pos >= SEGMENT_MAX)
		return 1;
	if (r->state == HTTP_UNASKED || r->state == HTTP_VERSION) {
		r->pos = line_feed(pos, r->end);
		if (r->pos < r->end)
			begin(r, r->state == HTTP_VERSION ? end_of_request_line(r) : HTTP_LINE, r->pos + 1);
		r->pos++;
		return r->state >= HTTP_DONE;
	}
	c = r->s->segment[pos];
	if (is_upper(c) && (r->state == HTTP_NAME || r->state == HTTP_LINE)) {
		c |= 0x20;
		r->s->segment[pos] = c;
	}
	switch (r->state) {
	case HTTP_METHOD:
		if (c == ' ' && pos > r->start) {
			if (asks(r->s, MATCH_METHOD))
				look_up(MATCH_METHOD, r->start, pos - r->start, 0, 0);
			r->state = HTTP_TARGET;
		} else if (!is_token(c)) {
			r->state = HTTP_BROKEN;
		}
		break;
	case HTTP_LINE:
		line_byte(r, c);
		break;
	case HTTP_NAME:
		if (c == ':') {
			r->name_bytes = pos - r->name;
			r->field = field_of(r);
			begin(r, asks_value(r) ? HTTP_VALUE : HTTP_UNASKED, pos + 1);
			begin_host(r);
		} else if (!is_token(c)) {
			r->state = HTTP_BROKEN;
		}
		break;
	case HTTP_VALUE:
		value_byte(r, c);
		break;
	case HTTP_LAST_LF:
		r->state = c == '\n' ? HTTP_DONE : HTTP_BROKEN;
		break;
	default:
		target_byte(r, c);
	}
	r->pos = pos + 1;
	return r->state >= HTTP_DONE;
}

/* Reads segment[start, end); what the rules ask of it is in found afterwards. */
__noinline int http_read(__u32 start, __u32 end)
{
	struct http_reader r = { .s = scratch_get(), .pos = start, .start = start, .end = end };

	if (!r.s)
		return UNDECIDED;
	bpf_loop(SEGMENT_MAX, http_step, &r, 0);
	return r.state == HTTP_DONE ? DECIDED : UNDECIDED;
}

#endif
