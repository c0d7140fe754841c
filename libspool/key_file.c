/* SPDX-License-Identifier: ISC */
/*
 * The key file as text, and on disk. A line at a time; what is wrong is named
 * by its line, and nothing of a secret is ever in a reason. All that holds
 * secrets is wiped.
 */
#include "key_file.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "clock.h"
#include "file.h"
#include "log.h"
#include "mem.h"
#include "num.h"
#include "when.h"

#define HEAD        "spoold-keys 1"
#define HEAD_LOCKED "spoold-keys-locked"
#define BASE64      sodium_base64_VARIANT_ORIGINAL
#define WORDS_MAX   6

_Static_assert(KEY_SIGN_SEED == crypto_sign_SEEDBYTES, "Ed25519");
_Static_assert(KEY_SIGN_PUBLIC == crypto_sign_PUBLICKEYBYTES, "Ed25519");
_Static_assert(KEY_SIGNATURE == crypto_sign_BYTES, "Ed25519");

static void
wipe_buf(struct buf *buf)
{
    if (buf->cap > 0)
        sodium_memzero(buf->data, buf->cap);
    buf_free(buf);
}

/* --- in memory ------------------------------------------------------------ */

static struct key_file *
key_file_empty(void)
{
    struct key_file *file;

    seal_init();
    file = sodium_malloc(sizeof(*file));
    if (file == NULL)
        fatal("no memory that can be locked (ulimit -l)");
    memset(file, 0, sizeof(*file));
    return file;
}

struct key_file *
key_file_new(void)
{
    struct key_file *file = key_file_empty();

    seal_pair_new(&file->pairs[0]);
    file->made_ms[0] = (uint64_t)clock_wall_ms();
    file->n_pairs = 1;
    randombytes_buf(file->sign_seed, KEY_SIGN_SEED);
    file->has_sign = true;
    return file;
}

void
key_file_free(struct key_file **file)
{
    if (*file == NULL)
        return;
    if ((*file)->passphrase != NULL) {
        sodium_memzero((*file)->passphrase, strlen((*file)->passphrase));
        free((*file)->passphrase);
    }
    sodium_free(*file); /* wipes */
    *file = NULL;
}

static size_t
pair_index(const struct key_file *file, struct view id)
{
    size_t i = 0;

    while (
        i < file->n_pairs &&
        !view_equal(id, (struct view){file->pairs[i].public.id, SEAL_PAIR_ID}))
        i++;
    return i;
}

bool
key_file_has(const struct key_file *file, struct view pair_id)
{
    return pair_index(file, pair_id) < file->n_pairs;
}

bool
key_file_is_lost(const struct key_file *file, struct view pair_id)
{
    for (size_t i = 0; i < file->n_lost; i++)
        if (view_equal(pair_id, (struct view){file->lost[i], SEAL_PAIR_ID}))
            return true;
    return false;
}

int
key_file_rotate(struct key_file *file, uint64_t now_ms, struct why *why)
{
    if (file->n_pairs == KEY_PAIRS_MAX)
        return why_text(why, "%d former key pairs are still needed",
                        KEY_PAIRS_MAX - 1);
    memmove(file->pairs + 1, file->pairs, file->n_pairs * sizeof(*file->pairs));
    memmove(file->made_ms + 1, file->made_ms,
            file->n_pairs * sizeof(*file->made_ms));
    seal_pair_new(&file->pairs[0]);
    file->made_ms[0] = now_ms;
    file->n_pairs++;
    return 0;
}

bool
key_file_drop(struct key_file *file, struct view pair_id)
{
    size_t i = pair_index(file, pair_id);

    if (i == 0 || i >= file->n_pairs)
        return false;
    file->n_pairs--;
    memmove(file->pairs + i, file->pairs + i + 1,
            (file->n_pairs - i) * sizeof(*file->pairs));
    memmove(file->made_ms + i, file->made_ms + i + 1,
            (file->n_pairs - i) * sizeof(*file->made_ms));
    sodium_memzero(&file->pairs[file->n_pairs], sizeof(*file->pairs));
    return true;
}

const char *
key_pair_print(const char id[SEAL_PAIR_ID], char text[KEY_PAIR_TEXT_MAX])
{
    return sodium_bin2hex(text, KEY_PAIR_TEXT_MAX, (const unsigned char *)id,
                          SEAL_PAIR_ID);
}

int
key_pair_parse(struct view text, char id[SEAL_PAIR_ID])
{
    size_t len;

    if (text.len != 2 * SEAL_PAIR_ID ||
        sodium_hex2bin((unsigned char *)id, SEAL_PAIR_ID, text.data, text.len,
                       NULL, &len, NULL) != 0)
        return -1;
    return len == SEAL_PAIR_ID ? 0 : -1;
}

/* --- signing -------------------------------------------------------------- */

void
key_file_sign(const struct key_file *file, struct view bytes,
              char public[KEY_SIGN_PUBLIC], char signature[KEY_SIGNATURE])
{
    unsigned char secret[crypto_sign_SECRETKEYBYTES];

    crypto_sign_seed_keypair((unsigned char *)public, secret,
                             (const unsigned char *)file->sign_seed);
    crypto_sign_detached((unsigned char *)signature, NULL,
                         (const unsigned char *)bytes.data, bytes.len, secret);
    sodium_memzero(secret, sizeof(secret));
}

bool
key_verify(struct view public, struct view bytes, struct view signature)
{
    return public.len == KEY_SIGN_PUBLIC && signature.len == KEY_SIGNATURE &&
           crypto_sign_verify_detached((const unsigned char *)signature.data,
                                       (const unsigned char *)bytes.data,
                                       bytes.len,
                                       (const unsigned char *)public.data) == 0;
}

/* --- parsing -------------------------------------------------------------- */

/* The words of a line; a "#" begins a comment. */
static size_t
split_words(struct view line, struct view words[WORDS_MAX])
{
    size_t n = 0;

    while (line.len > 0) {
        size_t len = 0;

        while (line.len > 0 && (line.data[0] == ' ' || line.data[0] == '\t' ||
                                line.data[0] == '\r'))
            line = view_skip(line, 1);
        if (line.len == 0 || line.data[0] == '#')
            break;
        while (len < line.len && line.data[len] != ' ' &&
               line.data[len] != '\t' && line.data[len] != '\r')
            len++;
        if (n == WORDS_MAX)
            return n + 1;
        words[n++] = (struct view){line.data, len};
        line = view_skip(line, len);
    }
    return n;
}

/* Exactly len bytes. */
static int
decode(struct view text, char *out, size_t len)
{
    size_t got = 0;

    if (sodium_base642bin((unsigned char *)out, len, text.data, text.len, NULL,
                          &got, NULL, BASE64) != 0 ||
        got != len)
        return -1;
    return 0;
}

static int
parse_pair(struct key_file *file, const struct view *words, size_t n,
           struct why *why)
{
    char secret[SEAL_SECRET];
    int64_t made_ms = 0;
    int rc = -1;

    if (n != 2 && n != 3)
        return why_text(why, "write: pair SECRET MADE");
    if (file->n_pairs == KEY_PAIRS_MAX)
        return why_text(why, "more than %d key pairs", KEY_PAIRS_MAX);
    if (n == 3 && when_parse(words[2], &made_ms, NULL) != 0)
        return why_text(why, "not a time");
    if (decode(words[1], secret, sizeof(secret)) != 0) {
        why_text(why, "not a secret key: 32 bytes in base64");
    } else {
        struct seal_pair *pair = &file->pairs[file->n_pairs];

        seal_pair_of(pair, secret);
        if (key_file_has(file, (struct view){pair->public.id, SEAL_PAIR_ID})) {
            why_text(why, "the same key pair twice");
        } else {
            file->made_ms[file->n_pairs++] =
                made_ms > 0 ? (uint64_t)made_ms : 0;
            rc = 0;
        }
    }
    sodium_memzero(secret, sizeof(secret));
    return rc;
}

static int
parse_line(struct key_file *file, const struct view *words, size_t n,
           struct why *why)
{
    if (view_equal(words[0], VIEW("pair")))
        return parse_pair(file, words, n, why);
    if (view_equal(words[0], VIEW("sign"))) {
        if (n != 2 || file->has_sign ||
            decode(words[1], file->sign_seed, KEY_SIGN_SEED) != 0)
            return why_text(why, "write once: sign SEED, 32 bytes in base64");
        file->has_sign = true;
        return 0;
    }
    if (view_equal(words[0], VIEW("lost"))) {
        if (n != 2 || file->n_lost == KEY_PAIRS_MAX ||
            key_pair_parse(words[1], file->lost[file->n_lost]) != 0)
            return why_text(why, "write: lost PAIR, 16 hexadecimal digits");
        file->n_lost++;
        return 0;
    }
    return why_text(why, "a line begins with pair, sign or lost");
}

static struct view
take_line(struct view *text)
{
    const char *end = memchr(text->data, '\n', text->len);
    struct view line = {text->data,
                        end != NULL ? (size_t)(end - text->data) : text->len};

    *text = view_skip(*text, line.len + (end != NULL));
    return line;
}

static int
parse_lines(struct key_file *file, struct view text, struct why *why)
{
    bool headed = false;
    unsigned number = 0;

    while (text.len > 0) {
        struct view words[WORDS_MAX];
        size_t n = split_words(take_line(&text), words);
        struct why inner = {0};

        number++;
        if (n == 0)
            continue;
        if (n > WORDS_MAX)
            return why_text(why, "%u: too many words", number);
        if (!headed) {
            if (n != 2 || !view_equal(words[0], VIEW("spoold-keys")) ||
                !view_equal(words[1], VIEW("1")))
                return why_text(why,
                                "%u: not a key file: it begins with \"%s\"",
                                number, HEAD);
            headed = true;
        } else if (parse_line(file, words, n, &inner) != 0) {
            return why_text(why, "%u: %s", number, inner.text);
        }
    }
    if (!headed)
        return why_text(why, "1: an empty key file");
    if (file->n_pairs == 0)
        return why_text(why, "%u: no key pair", number);
    if (!file->has_sign)
        return why_text(why, "%u: the line \"sign\" is missing", number);
    return 0;
}

/* --- locked --------------------------------------------------------------- */

#define BOX_EXTRA (crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES)

bool
key_file_is_locked(struct view text)
{
    struct view words[WORDS_MAX];

    while (text.len > 0) {
        size_t n = split_words(take_line(&text), words);

        if (n > 0)
            return view_equal(words[0], VIEW(HEAD_LOCKED));
    }
    return false;
}

static int
stretch(const char *passphrase, const char *salt, uint64_t ops, uint64_t mem,
        char key[crypto_secretbox_KEYBYTES], struct why *why)
{
    if (crypto_pwhash((unsigned char *)key, crypto_secretbox_KEYBYTES,
                      passphrase, strlen(passphrase),
                      (const unsigned char *)salt, ops, (size_t)mem,
                      crypto_pwhash_ALG_ARGON2ID13) != 0)
        return why_text(why, "too little memory for the passphrase's hash");
    return 0;
}

/* What a file may ask of us: a wrong number is not to eat the machine. */
#define OPS_MAX 20
#define MEM_MAX (UINT64_C(1) << 30)

/* Appends the text of the one line of a locked file. */
static int
unlock(struct view text, const char *passphrase, struct buf *out,
       struct why *why)
{
    struct view words[WORDS_MAX];
    char salt[crypto_pwhash_SALTBYTES], key[crypto_secretbox_KEYBYTES];
    struct buf box = {0};
    uint64_t ops, mem;
    size_t n = 0, len = 0;
    int rc = -1;

    while (text.len > 0 && n == 0)
        n = split_words(take_line(&text), words);
    if (n != 6 || !view_equal(words[1], VIEW("1")) ||
        decode(words[2], salt, sizeof(salt)) != 0 ||
        num_parse(words[3], 1, OPS_MAX, &ops, NULL) != 0 ||
        num_parse(words[4], crypto_pwhash_MEMLIMIT_MIN, MEM_MAX, &mem, NULL) !=
            0)
        return why_text(why, "1: a damaged locked key file");
    if (passphrase == NULL)
        return why_text(why, "1: locked, and there is no passphrase");
    buf_reserve(&box, words[5].len);
    if (sodium_base642bin((unsigned char *)box.data, box.cap, words[5].data,
                          words[5].len, NULL, &len, NULL, BASE64) != 0 ||
        len <= BOX_EXTRA || len > KEY_FILE_MAX)
        why_text(why, "1: a damaged locked key file");
    else if (stretch(passphrase, salt, ops, mem, key, why) == 0) {
        buf_reserve(out, len);
        if (crypto_secretbox_open_easy(
                (unsigned char *)out->data,
                (unsigned char *)box.data + crypto_secretbox_NONCEBYTES,
                len - crypto_secretbox_NONCEBYTES, (unsigned char *)box.data,
                (unsigned char *)key) != 0) {
            why_text(why, "1: the passphrase is wrong");
        } else {
            out->len = len - BOX_EXTRA;
            rc = 0;
        }
        sodium_memzero(key, sizeof(key));
    }
    buf_free(&box);
    return rc;
}

struct key_file *
key_file_parse(struct view text, const char *passphrase, struct why *why)
{
    struct key_file *file;
    struct buf opened = {0};
    int rc = 0;

    seal_init();
    file = key_file_empty();
    if (text.len > KEY_FILE_MAX)
        rc = why_text(why, "1: longer than %d bytes", KEY_FILE_MAX);
    else if (key_file_is_locked(text)) {
        file->locked = true;
        rc = unlock(text, passphrase, &opened, why);
        if (rc == 0) {
            file->passphrase = mem_copy_text(passphrase);
            text = buf_view(&opened);
        }
    }
    if (rc != 0 || parse_lines(file, text, why) != 0)
        key_file_free(&file);
    wipe_buf(&opened);
    return file;
}

/* --- printing ------------------------------------------------------------- */

static void
print_base64(const char *bytes, size_t len, struct buf *out)
{
    size_t room = sodium_base64_encoded_len(len, BASE64);

    buf_reserve(out, room);
    sodium_bin2base64(out->data + out->len, room, (const unsigned char *)bytes,
                      len, BASE64);
    out->len += room - 1;
}

static void
print_time(uint64_t wall_ms, struct buf *out)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    char text[32];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), " %Y-%m-%dT%H:%M:%SZ\n", &tm);
    buf_add_text(out, text);
}

static void
print_plain(const struct key_file *file, struct buf *out)
{
    buf_reserve(out, 256 + (KEY_PAIRS_MAX + 1) * 128); /* never moved */
    buf_add_text(out, "# The secret keys of a spool. Without this file what is "
                      "held cannot be read.\n" HEAD "\n");
    for (size_t i = 0; i < file->n_pairs; i++) {
        buf_add_text(out, "pair ");
        print_base64(file->pairs[i].secret, SEAL_SECRET, out);
        print_time(file->made_ms[i], out);
    }
    buf_add_text(out, "sign ");
    print_base64(file->sign_seed, KEY_SIGN_SEED, out);
    buf_add_byte(out, '\n');
    for (size_t i = 0; i < file->n_lost; i++) {
        char id[KEY_PAIR_TEXT_MAX];

        buf_addf(out, "lost %s\n", key_pair_print(file->lost[i], id));
    }
}

static void
print_locked(const struct key_file *file, struct view plain, struct buf *out)
{
    char salt[crypto_pwhash_SALTBYTES], key[crypto_secretbox_KEYBYTES];
    struct buf box = {0};
    struct why why;

    randombytes_buf(salt, sizeof(salt));
    buf_reserve(&box, plain.len + BOX_EXTRA);
    randombytes_buf(box.data, crypto_secretbox_NONCEBYTES);
    if (stretch(file->passphrase, salt, crypto_pwhash_OPSLIMIT_INTERACTIVE,
                crypto_pwhash_MEMLIMIT_INTERACTIVE, key, &why) != 0)
        fatal("%s", why.text);
    crypto_secretbox_easy((unsigned char *)box.data +
                              crypto_secretbox_NONCEBYTES,
                          (const unsigned char *)plain.data, plain.len,
                          (unsigned char *)box.data, (unsigned char *)key);
    box.len = plain.len + BOX_EXTRA;
    sodium_memzero(key, sizeof(key));
    buf_add_text(out, HEAD_LOCKED " 1 ");
    print_base64(salt, sizeof(salt), out);
    buf_addf(out, " %u %u ", (unsigned)crypto_pwhash_OPSLIMIT_INTERACTIVE,
             (unsigned)crypto_pwhash_MEMLIMIT_INTERACTIVE);
    print_base64(box.data, box.len, out);
    buf_add_byte(out, '\n');
    buf_free(&box);
}

void
key_file_print(const struct key_file *file, struct buf *out)
{
    struct buf plain = {0};

    print_plain(file, &plain);
    if (file->locked && file->passphrase != NULL)
        print_locked(file, buf_view(&plain), out);
    else
        buf_add_view(out, buf_view(&plain));
    wipe_buf(&plain);
}

/* --- on disk -------------------------------------------------------------- */

struct key_file *
key_file_load(const char *path, const char *passphrase, struct why *why)
{
    struct key_file *file = NULL;
    struct buf text = {0};
    struct why inner;

    if (file_read(path, KEY_FILE_MAX, &text, &inner) != 0)
        why_text(why, "%s: %s", path, inner.text);
    else if ((file = key_file_parse(buf_view(&text), passphrase, &inner)) ==
             NULL)
        why_text(why, "%s:%s", path, inner.text);
    wipe_buf(&text);
    return file;
}

static int
write_whole(int fd, struct view text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.data, text.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        text = view_skip(text, (size_t)n);
    }
    return fsync(fd);
}

/* The old file's bytes, once its name is gone: what a secret lay in. */
static void
overwrite(int fd)
{
    static const char zeros[4096];
    struct stat st;
    off_t at = 0;

    if (fstat(fd, &st) != 0 || st.st_nlink > 0)
        return;
    while (at < st.st_size) {
        size_t len = st.st_size - at < (off_t)sizeof(zeros)
                         ? (size_t)(st.st_size - at)
                         : sizeof(zeros);
        ssize_t n = pwrite(fd, zeros, len, at);

        if (n <= 0)
            return;
        at += n;
    }
    fsync(fd);
}

static int
sync_directory(const char *path)
{
    char *directory = mem_copy_text(path);
    char *end = strrchr(directory, '/');
    int fd, rc = -1;

    if (end != NULL)
        end[end == directory] = '\0';
    fd =
        open(end != NULL ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        rc = fsync(fd);
        close(fd);
    }
    free(directory);
    return rc;
}

/* Saves to path, which is not a link. errno says what went wrong. */
static int
save_at(const struct key_file *file, const char *path)
{
    char fresh[PATH_MAX];
    struct buf text = {0};
    struct stat st;
    int old = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    int fd = -1, rc = -1, error;

    if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh)) {
        errno = ENAMETOOLONG;
    } else {
        unlink(fresh);
        fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    key_file_print(file, &text);
    /* Whose it was it stays: a locked down /etc must not become root's. */
    if (fd >= 0 &&
        (old < 0 || fstat(old, &st) != 0 || geteuid() != 0 ||
         fchown(fd, st.st_uid, st.st_gid) == 0) &&
        write_whole(fd, buf_view(&text)) == 0 && rename(fresh, path) == 0 &&
        sync_directory(path) == 0)
        rc = 0;
    error = errno;
    if (rc != 0 && fd >= 0)
        unlink(fresh);
    else if (old >= 0)
        overwrite(old);
    if (old >= 0)
        close(old);
    if (fd >= 0)
        close(fd);
    wipe_buf(&text);
    errno = error;
    return rc;
}

int
key_file_save(const struct key_file *file, const char *path, struct why *why)
{
    char *real = realpath(path, NULL); /* NULL: it is not there yet */
    int rc = save_at(file, real != NULL ? real : path);

    if (rc != 0)
        why_text(why, "%s: %s", path, strerror(errno));
    free(real);
    return rc;
}
