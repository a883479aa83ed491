/* JSON strings. */
#include "cli.h"

/* How many bytes the UTF-8 character at `s` has; 0 if it is not UTF-8 (overlong forms and surrogates are not). */
static size_t utf8_length(const unsigned char *s, size_t left) {
  if (s[0] < 0x80) return 1;
  size_t length = s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
  if (!length || length > left) return 0;
  unsigned char least = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
  unsigned char most = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
  if (s[1] < least || s[1] > most) return 0;
  for (size_t i = 2; i < length; i++)
    if ((s[i] & 0xc0) != 0x80) return 0;
  return length;
}

/* A byte that is not UTF-8 becomes a lone surrogate, U+DC80 to U+DCFF, as in Python's file names (PEP 383). That is valid
 * JSON, and no path in UTF-8 looks like that, so nothing is lost and no two paths look alike. */
void json_string(FILE *out, const char *bytes, size_t length) {
  const unsigned char *at = (const unsigned char *)bytes, *end = at + length;
  putc('"', out);
  while (at < end) {
    size_t whole = utf8_length(at, (size_t)(end - at));
    if (!whole) fprintf(out, "\\udc%02x", *at);
    else if (*at == '"' || *at == '\\') fprintf(out, "\\%c", *at);
    else if (*at < 0x20 || *at == 0x7f) fprintf(out, "\\u%04x", *at);
    else fwrite(at, 1, whole, out);
    at += whole ? whole : 1;
  }
  putc('"', out);
}
