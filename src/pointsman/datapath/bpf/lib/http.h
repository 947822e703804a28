/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reads an HTTP/1.x request head (RFC 9112) out of one segment and looks its parts up.
 *
 * A step a byte: the table of states below is the whole grammar that routing needs. Where a part
 * ends (method, authority, path, header, cookie pair), its text is looked up and the rules it
 * satisfies are noted in scratch->found. What this reader does not understand to the last byte it
 * leaves undecided; it never guesses.
 *
 *   METHOD ' ' TARGET ' ' VERSION '\n' { NAME ':' VALUE '\n' } '\n'
 *   TARGET is '/' PATH [ '?' QUERY ]  or  "http://" AUTHORITY then the same
 */
#ifndef POINTSMAN_HTTP_H
#define POINTSMAN_HTTP_H

#include "base.h"
#include "scratch.h"

enum http_state {
	HTTP_METHOD,
	HTTP_TARGET, /* its first byte */
	HTTP_SCHEME, /* up to the second '/' */
	HTTP_AUTHORITY,
	HTTP_PATH,
	HTTP_QUERY,
	HTTP_VERSION,
	HTTP_LINE, /* first byte of a header line */
	HTTP_NAME,
	HTTP_VALUE,
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
	__u32 classes; /* asked for by the rule set */
	__u32 pos; /* of the byte to read, in s->segment */
	__u32 end;
	__u32 start; /* of the part being read */
	__u32 stop; /* after the last byte of it that counts: trailing white space does not */
	__u32 name; /* start of the header name */
	__u32 name_bytes;
	__u16 ruleset;
	__u8 state; /* enum http_state */
	__u8 field; /* enum http_field */
	__u8 slashes;
	bool has_authority; /* it beats the Host header, RFC 9112 §3.2.2 */
	bool bracket; /* inside an IPv6 literal */
	bool colon; /* the host's port follows: no longer counts */
};

static __always_inline void note_found(struct scratch *s, __u32 class, const struct rule_bits *bits)
{
	if (!bits || class >= MATCH_CLASSES)
		return;
#pragma unroll
	for (int i = 0; i < RULE_WORDS; i++)
		s->found[class].words[i] |= bits->words[i];
}

static __always_inline void copy_text(struct scratch *s, __u32 at, __u32 from, __u32 bytes)
{
	if (at > MATCH_TEXT || !bytes || bytes > MATCH_TEXT || from >= SEGMENT_MAX - MATCH_TEXT)
		return;
	bpf_probe_read_kernel(s->text + at, bytes, s->segment + from);
}

/* Looks up segment[start, stop), behind the header's name and a 0 if there is one. */
static __noinline int look_up(struct http_reader *r, __u32 class)
{
	struct scratch *s = scratch_get();
	__u32 at = class == MATCH_HEADER ? r->name_bytes + 1 : 0;
	__u32 bytes = r->stop - r->start;

	if (!s || bytes > MATCH_TEXT || at > MATCH_TEXT || at + bytes > MATCH_TEXT)
		return 0; /* longer than any condition can be */
	__builtin_memset(&s->match, 0, sizeof(s->match));
	s->match.ruleset = r->ruleset;
	s->match.match_class = class;
	if (at)
		copy_text(s, 0, r->name, r->name_bytes);
	copy_text(s, at, r->start, bytes);
	note_found(s, class, bpf_map_lookup_elem(&matches, &s->match));
	return 0;
}

static __noinline int look_up_prefix(struct http_reader *r)
{
	struct scratch *s = scratch_get();
	__u32 bytes = r->stop - r->start;

	if (!s)
		return 0;
	if (bytes > MATCH_TEXT)
		bytes = MATCH_TEXT;
	__builtin_memset(&s->match, 0, sizeof(s->match));
	copy_text(s, 0, r->start, bytes);
	__builtin_memcpy(s->prefix.text, s->text, MATCH_TEXT);
	s->prefix.ruleset = r->ruleset;
	s->prefix.reserved = 0;
	s->prefix.prefixlen = 8 * (offsetof(struct prefix_key, text) -
				   offsetof(struct prefix_key, ruleset) + bytes);
	note_found(s, MATCH_PREFIX, bpf_map_lookup_elem(&prefixes, &s->prefix));
	return 0;
}

static __always_inline bool asks(const struct http_reader *r, enum match_class class)
{
	return r->classes & 1 << class;
}

static __always_inline void end_of_path(struct http_reader *r)
{
	r->stop = r->pos;
	if (asks(r, MATCH_PATH))
		look_up(r, MATCH_PATH);
	if (asks(r, MATCH_PREFIX))
		look_up_prefix(r);
}

/* Which header is it? Names are in lower case by now. */
static __always_inline enum http_field field_of(const struct http_reader *r)
{
	const __u8 *name = r->s->segment + (r->name & (SEGMENT_MAX / 2 - 1));

	if (r->name_bytes == 4 && name[0] == 'h' && name[1] == 'o' && name[2] == 's' && name[3] == 't')
		return FIELD_HOST;
	if (r->name_bytes == 6 && name[0] == 'c' && name[1] == 'o' && name[2] == 'o' &&
	    name[3] == 'k' && name[4] == 'i' && name[5] == 'e')
		return FIELD_COOKIE;
	return FIELD_OTHER;
}

static __always_inline void end_of_value(struct http_reader *r)
{
	if (r->field == FIELD_COOKIE && asks(r, MATCH_COOKIE))
		look_up(r, MATCH_COOKIE);
	else if (r->field == FIELD_HOST && asks(r, MATCH_HOST) && !r->has_authority)
		look_up(r, MATCH_HOST);
	else if (r->field == FIELD_OTHER && asks(r, MATCH_HEADER))
		look_up(r, MATCH_HEADER);
}

static __always_inline bool is_upper(__u8 c)
{
	return c >= 'A' && c <= 'Z';
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

static __always_inline void target_byte(struct http_reader *r, __u8 c)
{
	if (c <= ' ' && !(c == ' ' && (r->state == HTTP_PATH || r->state == HTTP_QUERY))) {
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
			if (asks(r, MATCH_HOST))
				look_up(r, MATCH_HOST);
			begin(r, HTTP_PATH, r->pos);
		} else {
			host_byte(r, c);
		}
		break;
	case HTTP_PATH:
		if (c == ' ' || c == '?' || c == '#') {
			end_of_path(r);
			begin(r, c == ' ' ? HTTP_VERSION : HTTP_QUERY, r->pos + 1);
		}
		break;
	default:
		if (c == ' ')
			begin(r, HTTP_VERSION, r->pos + 1);
	}
}

/* Whether segment[start, pos) begins with "HTTP/1.", with the CR if any. */
static __always_inline bool is_http1(const struct http_reader *r)
{
	const __u8 *v = r->s->segment + (r->start & (SEGMENT_MAX / 2 - 1));

	return r->pos - r->start >= 8 && v[0] == 'H' && v[1] == 'T' && v[2] == 'T' && v[3] == 'P' &&
	       v[4] == '/' && v[5] == '1' && v[6] == '.';
}

/* Headers are read only if some rule asks for them. */
static __always_inline enum http_state end_of_request_line(const struct http_reader *r)
{
	if (!is_http1(r))
		return HTTP_BROKEN;
	return asks(r, MATCH_HOST) || asks(r, MATCH_HEADER) || asks(r, MATCH_COOKIE) ? HTTP_LINE :
										       HTTP_DONE;
}

static long http_step(__u32 index, void *context)
{
	struct http_reader *r = context;
	__u32 pos = r->pos;
	__u8 c;

	if (pos >= r->end || pos >= SEGMENT_MAX)
		return 1;
	c = r->s->segment[pos];
	if (is_upper(c) && (r->state == HTTP_NAME || r->state == HTTP_LINE ||
			    r->state == HTTP_AUTHORITY ||
			    (r->state == HTTP_VALUE && r->field == FIELD_HOST))) {
		c |= 0x20;
		r->s->segment[pos] = c;
	}
	switch (r->state) {
	case HTTP_METHOD:
		if (c == ' ' && pos > r->start) {
			r->stop = pos;
			if (asks(r, MATCH_METHOD))
				look_up(r, MATCH_METHOD);
			r->state = HTTP_TARGET;
		} else if (!is_token(c)) {
			r->state = HTTP_BROKEN;
		}
		break;
	case HTTP_VERSION:
		if (c == '\n')
			begin(r, end_of_request_line(r), pos + 1);
		break;
	case HTTP_LINE:
		line_byte(r, c);
		break;
	case HTTP_NAME:
		if (c == ':') {
			r->name_bytes = pos - r->name;
			r->field = field_of(r);
			begin(r, HTTP_VALUE, pos + 1);
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

#endif
