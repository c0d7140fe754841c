/* SPDX-License-Identifier: ISC */
/*
 * Passwords against hashes: Argon2 and plain digests by libsodium, the rest
 * by crypt_r(3). An imported hash says itself how much work it is, so that
 * is bounded when it comes in and again before it is verified.
 */
#include "password.h"

#include <crypt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "mem.h"
#include "num.h"
#include "password_sha1.h"

/* OWASP's and libsodium's measure for logins people wait for. */
#define OPS crypto_pwhash_OPSLIMIT_INTERACTIVE
#define MEM crypto_pwhash_MEMLIMIT_INTERACTIVE
_Static_assert(crypto_pwhash_STRBYTES <= PASSWORD_HASH_MAX, "a hash has room");

/* What an imported hash may cost. */
#define ARGON_KB_MAX      (1024 * 1024)
#define ARGON_PASSES_MAX  20
#define SHA_ROUNDS_MAX    1000000
#define BLOWFISH_COST_MAX 14
#define SALT_MAX          64

/* --- new hashes ----------------------------------------------------------- */

int
password_hash(struct view password, char out[PASSWORD_HASH_MAX],
              struct why *why)
{
    char hash[crypto_pwhash_STRBYTES];

    if (password.len > PASSWORD_MAX)
        return why_text(why, "a password has at most %d bytes", PASSWORD_MAX);
    if (sodium_init() < 0 ||
        crypto_pwhash_str(hash, password.len > 0 ? password.data : "",
                          password.len, OPS, MEM) != 0)
        return why_text(why, "no memory for hashing a password");
    memcpy(out, hash, strlen(hash) + 1);
    return 0;
}

bool
password_is_current(struct view hash)
{
    char text[crypto_pwhash_STRBYTES] = {0};

    if (hash.len >= sizeof(text) || hash.len < 10 ||
        strncmp(hash.data, "$argon2id$", 10) != 0)
        return false;
    memcpy(text, hash.data, hash.len);
    return crypto_pwhash_str_needs_rehash(text, OPS, MEM) == 0;
}

/* --- digests -------------------------------------------------------------- */

static void
digest_sha1(const unsigned char *bytes, size_t len, unsigned char *out)
{
    password_sha1(bytes, len, out);
}

static void
digest_sha256(const unsigned char *bytes, size_t len, unsigned char *out)
{
    crypto_hash_sha256(out, bytes, len);
}

static void
digest_sha512(const unsigned char *bytes, size_t len, unsigned char *out)
{
    crypto_hash_sha512(out, bytes, len);
}

static const struct digest {
    const char *scheme;
    size_t len;
    bool salted; /* the salt follows the digest */
    void (*make)(const unsigned char *bytes, size_t len, unsigned char *out);
} digests[] = {
    {"{SHA}", PASSWORD_SHA1, false, digest_sha1},
    {"{SHA256}", 32, false, digest_sha256},
    {"{SHA512}", 64, false, digest_sha512},
    {"{SSHA}", PASSWORD_SHA1, true, digest_sha1},
    {"{SSHA256}", 32, true, digest_sha256},
    {"{SSHA512}", 64, true, digest_sha512},
};

static const struct digest *
digest_of(struct view hash)
{
    for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
        size_t len = strlen(digests[i].scheme);

        if (hash.len > len &&
            strncasecmp(hash.data, digests[i].scheme, len) == 0)
            return &digests[i];
    }
    return NULL;
}

/* Digest and salt out of base64; the length, 0: they are none. */
static size_t
digest_decode(const struct digest *digest, struct view hash,
              unsigned char bytes[64 + SALT_MAX])
{
    struct view text = view_skip(hash, strlen(digest->scheme));
    size_t len = 0;

    while (text.len > 0 && text.data[text.len - 1] == '=')
        text.len--;
    if (sodium_base642bin(bytes, digest->len + SALT_MAX, text.data, text.len,
                          NULL, &len, NULL,
                          sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0 ||
        len < digest->len || (len > digest->len) != digest->salted)
        return 0;
    return len;
}

static bool
digest_verify(const struct digest *digest, struct view hash,
              struct view password)
{
    unsigned char bytes[64 + SALT_MAX], made[64];
    unsigned char text[PASSWORD_MAX + SALT_MAX];
    size_t len = digest_decode(digest, hash, bytes);
    size_t salt = len > 0 ? len - digest->len : 0;
    bool same;

    if (len == 0)
        return false;
    if (password.len > 0)
        memcpy(text, password.data, password.len);
    memcpy(text + password.len, bytes + digest->len, salt);
    digest->make(text, password.len + salt, made);
    same = sodium_memcmp(made, bytes, digest->len) == 0;
    sodium_memzero(text, sizeof(text));
    return same;
}

/* --- how much work a hash is ------------------------------------------------
 */

/* The number behind name, 0: there is none. */
static uint64_t
parameter(struct view hash, const char *name)
{
    const char *at =
        hash.len > 0 ? memmem(hash.data, hash.len, name, strlen(name)) : NULL;
    uint64_t value = 0;

    if (at == NULL)
        return 0;
    for (at += strlen(name);
         at < hash.data + hash.len && *at >= '0' && *at <= '9'; at++)
        value = value > UINT32_MAX ? value : value * 10 + (uint64_t)(*at - '0');
    return value;
}

static bool
starts_with(struct view hash, const char *start)
{
    return hash.len > strlen(start) &&
           strncmp(hash.data, start, strlen(start)) == 0;
}

static bool
is_argon(struct view hash)
{
    return starts_with(hash, "$argon2id$") || starts_with(hash, "$argon2i$");
}

static bool
is_crypt(struct view hash)
{
    static const char *const starts[] = {"$6$",  "$5$",  "$y$", "$2y$",
                                         "$2b$", "$2a$", "$1$"};

    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        if (starts_with(hash, starts[i]))
            return true;
    return false;
}

/* yescrypt says its work in letters ("$y$j9T$"): N is 2^(1 + the second),
 * and j9T, Debian's, is N = 4096 with blocks of 4 kB. */
static bool
yescrypt_is_bearable(struct view hash)
{
    static const char letters[] =
        "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const char *cost, *blocks;

    if (hash.len < 7 || hash.data[3] != 'j' || hash.data[6] != '$')
        return false;
    cost = strchr(letters, hash.data[4]);
    blocks = strchr(letters, hash.data[5]);
    return cost != NULL && blocks != NULL && cost - letters <= 15 &&
           blocks - letters <= 40;
}

static bool
is_bearable(struct view hash)
{
    if (is_argon(hash))
        return parameter(hash, "$m=") <= ARGON_KB_MAX &&
               parameter(hash, ",t=") <= ARGON_PASSES_MAX &&
               parameter(hash, ",p=") <= 1;
    if (starts_with(hash, "$2"))
        return hash.len > 6 &&
               (hash.data[4] - '0') * 10 + (hash.data[5] - '0') <=
                   BLOWFISH_COST_MAX;
    if (starts_with(hash, "$y$"))
        return yescrypt_is_bearable(hash);
    return parameter(hash, "$rounds=") <= SHA_ROUNDS_MAX;
}

/* --- verifying ------------------------------------------------------------ */

static bool
crypt_verify(const char *hash, struct view password)
{
    struct crypt_data *data = mem_alloc(sizeof(*data));
    char *text = mem_copy(password.data, password.len);
    const char *made;
    bool same = false;

    /* crypt(3) would stop at a NUL and take less for more. */
    if (password.len == 0 || memchr(text, '\0', password.len) == NULL) {
        made = crypt_r(text, hash, data);
        same = made != NULL && made[0] != '*' && strlen(made) == strlen(hash) &&
               sodium_memcmp(made, hash, strlen(hash)) == 0;
    }
    sodium_memzero(text, password.len);
    sodium_memzero(data, sizeof(*data));
    free(text);
    free(data);
    return same;
}

bool
password_verify(struct view hash, struct view password)
{
    const struct digest *digest = digest_of(hash);
    char text[PASSWORD_HASH_MAX] = {0};

    if (password.len > PASSWORD_MAX || hash.len == 0 ||
        hash.len >= sizeof(text) || memchr(hash.data, '\0', hash.len) != NULL ||
        sodium_init() < 0)
        return false;
    if (digest != NULL)
        return digest_verify(digest, hash, password);
    memcpy(text, hash.data, hash.len);
    if (is_argon(hash))
        return is_bearable(hash) && hash.len < crypto_pwhash_STRBYTES &&
               crypto_pwhash_str_verify(text,
                                        password.len > 0 ? password.data : "",
                                        password.len) == 0;
    return is_crypt(hash) && is_bearable(hash) && crypt_verify(text, password);
}

static char nobody[PASSWORD_HASH_MAX]; /* the hash of something random */

static void
make_nobody(void)
{
    char random[16];
    struct why why;

    if (sodium_init() >= 0)
        randombytes_buf(random, sizeof(random));
    if (password_hash((struct view){random, sizeof(random)}, nobody, &why) != 0)
        nobody[0] = '\0';
}

bool
password_verify_nobody(struct view password)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_nobody);
    password_verify(view_of(nobody), password);
    return false;
}

/* --- importing ------------------------------------------------------------ */

/* Dovecot's names for what crypt(3) knows by itself. */
static const char *const crypt_schemes[] = {
    "{CRYPT}",     "{SHA512-CRYPT}", "{SHA256-CRYPT}", "{BLF-CRYPT}",
    "{MD5-CRYPT}", "{ARGON2ID}",     "{ARGON2I}"};
static const char *const plain_schemes[] = {"{PLAIN}", "{CLEARTEXT}",
                                            "{CLEAR}"};

static bool
skip_scheme(struct view *text, const char *const *schemes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(schemes[i]);

        if (text->len >= len && strncasecmp(text->data, schemes[i], len) == 0) {
            *text = view_skip(*text, len);
            return true;
        }
    }
    return false;
}

static int
import_digest(const struct digest *digest, struct view text,
              char out[PASSWORD_HASH_MAX], struct why *why)
{
    unsigned char bytes[64 + SALT_MAX];
    size_t len = strlen(digest->scheme);

    if (text.len >= PASSWORD_HASH_MAX ||
        digest_decode(digest, text, bytes) == 0)
        return why_text(why, "a %s hash that is none", digest->scheme);
    memcpy(out, digest->scheme, len);
    memcpy(out + len, text.data + len, text.len - len);
    out[text.len] = '\0';
    return 0;
}

/* Is all of a crypt(3) hash there? One that lost its end fits no password. */
static bool
is_whole(struct view hash)
{
    static const struct {
        const char *start;
        size_t len; /* behind the last "$" */
    } kinds[] = {
        {"$6$", 86}, {"$5$", 43}, {"$y$", 43}, {"$1$", 22}, {"$2", 53}};
    const char *last = hash.len > 0 ? memrchr(hash.data, '$', hash.len) : NULL;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (starts_with(hash, kinds[i].start))
            return hash.len - (size_t)(last - hash.data) - 1 == kinds[i].len;
    return true;
}

int
password_import(struct view text, char out[PASSWORD_HASH_MAX], struct why *why)
{
    const struct digest *digest = digest_of(text);
    const char *end;

    if (sodium_init() < 0)
        return why_text(why, "libsodium does not start");
    if (digest != NULL)
        return import_digest(digest, text, out, why);
    if (skip_scheme(&text, plain_schemes, 3))
        return password_hash(text, out, why);
    skip_scheme(&text, crypt_schemes,
                sizeof(crypt_schemes) / sizeof(crypt_schemes[0]));
    if (text.len > 0 && text.data[0] == '{') {
        end = memchr(text.data, '}', text.len);
        return why_text(why, "hashes of the scheme %.*s cannot be imported",
                        end != NULL ? (int)(end - text.data) + 1 : 1,
                        text.data);
    }
    if (text.len >= PASSWORD_HASH_MAX || (!is_argon(text) && !is_crypt(text)) ||
        memchr(text.data, '\0', text.len) != NULL)
        return why_text(why, "no hash of a known kind");
    if (is_argon(text) && text.len >= crypto_pwhash_STRBYTES)
        return why_text(why, "an Argon2 hash of %zu bytes", text.len);
    if (!is_bearable(text))
        return why_text(why, "verifying this hash would take too long");
    if (!is_whole(text))
        return why_text(why, "a hash of which a part is missing");
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return 0;
}

int
password_line_parse(struct view line, struct password_line *out,
                    struct why *why)
{
    const char *colon, *end;
    struct view rest;

    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0 || line.data[0] == '#')
        return 0;
    colon = memchr(line.data, ':', line.len);
    if (colon == NULL || colon == line.data)
        return why_text(why, "no \"name:hash\"");
    out->name = (struct view){line.data, (size_t)(colon - line.data)};
    rest = view_skip(line, out->name.len + 1);
    end = rest.len > 0 ? memchr(rest.data, ':', rest.len) : NULL;
    out->hash = rest;
    if (end != NULL)
        out->hash.len = (size_t)(end - rest.data);
    /* Locked, never set, or in the shadow file. */
    if (out->hash.len == 0 || out->hash.data[0] == '!' ||
        out->hash.data[0] == '*' || view_equal(out->hash, VIEW("x")))
        return 0;
    return 1;
}

const char *
password_kind(struct view hash)
{
    static const struct {
        const char *start;
        const char *kind;
    } kinds[] = {
        {"$argon2id$", "argon2id"}, {"$argon2i$", "argon2i"},
        {"$6$", "sha512-crypt"},    {"$5$", "sha256-crypt"},
        {"$y$", "yescrypt"},        {"$2", "bcrypt"},
        {"$1$", "md5-crypt"},       {"{SHA}", "sha1"},
        {"{SHA256}", "sha256"},     {"{SHA512}", "sha512"},
        {"{SSHA}", "ssha"},         {"{SSHA256}", "ssha256"},
        {"{SSHA512}", "ssha512"},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t len = strlen(kinds[i].start);

        if (hash.len > len && strncasecmp(hash.data, kinds[i].start, len) == 0)
            return kinds[i].kind;
    }
    return "unknown";
}

/* --- access codes -----------------------------------------------------------
 */

/* Without letters that look like others. */
static const char code_letters[] = "abcdefghjkmnpqrstuvwxyz23456789";
#define CODE_LETTERS (sizeof(code_letters) - 1)

void
password_code_make(char text[PASSWORD_CODE_TEXT])
{
    size_t at = 0;

    if (sodium_init() < 0)
        abort();
    for (int i = 0; i < 16; i++) {
        if (i > 0 && i % 4 == 0)
            text[at++] = '-';
        text[at++] = code_letters[randombytes_uniform(CODE_LETTERS)];
    }
    text[at] = '\0';
}

int
password_code_hash(struct view text, char hash[PASSWORD_CODE_HASH])
{
    char code[16];
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c == '-' || c == ' ')
            continue;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c | 0x20);
        if (len == sizeof(code) || c == '\0' || strchr(code_letters, c) == NULL)
            return -1;
        code[len++] = c;
    }
    if (len != sizeof(code))
        return -1;
    crypto_generichash((unsigned char *)hash, PASSWORD_CODE_HASH,
                       (const unsigned char *)code, len,
                       (const unsigned char *)"spoold access code 1", 20);
    return 0;
}

/* --- remembering ------------------------------------------------------------
 */

static unsigned char token_key[crypto_generichash_KEYBYTES];

static void
make_token_key(void)
{
    if (sodium_init() < 0)
        abort();
    randombytes_buf(token_key, sizeof(token_key));
}

void
password_token(struct view name, struct view password,
               char token[PASSWORD_TOKEN])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    crypto_generichash_state state;

    pthread_once(&once, make_token_key);
    crypto_generichash_init(&state, token_key, sizeof(token_key),
                            PASSWORD_TOKEN);
    crypto_generichash_update(&state, (const unsigned char *)name.data,
                              name.len);
    crypto_generichash_update(&state, (const unsigned char *)"\0", 1);
    crypto_generichash_update(&state, (const unsigned char *)password.data,
                              password.len);
    crypto_generichash_final(&state, (unsigned char *)token, PASSWORD_TOKEN);
}

void
password_wipe(void *bytes, size_t len)
{
    sodium_memzero(bytes, len);
}
