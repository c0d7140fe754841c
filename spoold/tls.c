/* SPDX-License-Identifier: ISC */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>

#include "mem.h"

struct tls {
    SSL_CTX *context;
};

static int
tls_why(struct why *why, const char *what)
{
    char text[160] = "";

    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    ERR_clear_error();
    return why_text(why, "%s: %s", what, text);
}

/* The first certificate of the PEM text is ours, the others its chain. */
static int
tls_use_chain(SSL_CTX *context, BIO *pem, struct why *why)
{
    X509 *leaf = PEM_read_bio_X509_AUX(pem, NULL, NULL, NULL);
    X509 *link;
    int ok;

    if (leaf == NULL)
        return tls_why(why, "certificate");
    ok = SSL_CTX_use_certificate(context, leaf);
    X509_free(leaf);
    if (ok != 1)
        return tls_why(why, "certificate");
    while ((link = PEM_read_bio_X509(pem, NULL, NULL, NULL)) != NULL)
        if (SSL_CTX_add0_chain_cert(context, link) != 1) {
            X509_free(link);
            return tls_why(why, "certificate chain");
        }
    ERR_clear_error(); /* the end of the text is no error */
    return 0;
}

static int
tls_use_key(SSL_CTX *context, BIO *pem, struct why *why)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, NULL, NULL);
    int ok;

    if (key == NULL)
        return tls_why(why, "key");
    ok = SSL_CTX_use_PrivateKey(context, key) == 1 &&
         SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key);
    return ok ? 0 : tls_why(why, "key");
}

/* Idle connections give their record buffers back: 15 KB each instead of 48.
 * Cut-off sessions end like orderly ones, since SMTP has its own framing.
 * What was read is written over: it is somebody's mail. */
static bool
tls_set_common(SSL_CTX *context)
{
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS |
                                  SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(context,
                        SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION |
                            SSL_OP_NO_COMPRESSION | SSL_OP_CLEANSE_PLAINTEXT);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
}

struct tls *
tls_server_new(struct view certificate, struct view key, struct why *why)
{
    struct tls *tls = mem_alloc(sizeof(*tls));
    BIO *chain_pem = BIO_new_mem_buf(certificate.data, (int)certificate.len);
    BIO *key_pem = BIO_new_mem_buf(key.data, (int)key.len);

    tls->context = SSL_CTX_new(TLS_server_method());
    if (tls->context == NULL || chain_pem == NULL || key_pem == NULL ||
        !tls_set_common(tls->context)) {
        tls_why(why, "TLS");
        tls_free(&tls);
    } else if (tls_use_chain(tls->context, chain_pem, why) != 0 ||
               tls_use_key(tls->context, key_pem, why) != 0) {
        tls_free(&tls);
    } else {
        /* Tickets need no memory here; a session cache would. */
        SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
    }
    BIO_free(chain_pem);
    BIO_free(key_pem);
    return tls;
}

void
tls_free(struct tls **tls)
{
    if (*tls == NULL)
        return;
    SSL_CTX_free((*tls)->context);
    free(*tls);
    *tls = NULL;
}

SSL *
tls_connection(struct tls *tls)
{
    return SSL_new(tls->context);
}

/* --- as a client --------------------------------------------------------- */

struct tls_memory {
    unsigned uses; /* the owner's and one for each connection */
    SSL_SESSION *session;
};

static int memory_index = -1; /* of a connection's extra data */

struct tls_memory *
tls_memory_new(void)
{
    struct tls_memory *memory = mem_alloc(sizeof(*memory));

    memory->uses = 1;
    return memory;
}

static void
memory_drop(struct tls_memory *memory)
{
    if (memory == NULL || --memory->uses > 0)
        return;
    SSL_SESSION_free(memory->session);
    free(memory);
}

void
tls_memory_free(struct tls_memory **memory)
{
    memory_drop(*memory);
    *memory = NULL;
}

/* A connection goes. */
static void
on_memory_free(void *parent, void *memory, CRYPTO_EX_DATA *data, int index,
               long argl, void *argp)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    memory_drop(memory);
}

/* The server gave a session to resume; it proved all it had to by now. A copy
 * is kept and copies are resumed: OpenSSL spoils that of a connection which
 * ends without the last word of TLS, as those to mail servers do, and not
 * every server gives a new one each time (RFC 5246 7.2.1 allows it). */
static int
on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_memory *memory = SSL_get_ex_data(ssl, memory_index);

    if (memory == NULL)
        return 0;
    SSL_SESSION_free(memory->session);
    memory->session = SSL_SESSION_dup(session);
    return 0; /* theirs as before */
}

static void
resume(SSL *ssl, const struct tls_memory *memory)
{
    SSL_SESSION *copy =
        memory->session != NULL ? SSL_SESSION_dup(memory->session) : NULL;

    if (copy != NULL)
        SSL_set_session(ssl, copy);
    SSL_SESSION_free(copy);
}

static int
tls_add_cas(SSL_CTX *context, struct view ca, struct why *why)
{
    BIO *pem = BIO_new_mem_buf(ca.data, (int)ca.len);
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    X509 *one;
    size_t n = 0;

    while ((one = PEM_read_bio_X509_AUX(pem, NULL, NULL, NULL)) != NULL) {
        n += X509_STORE_add_cert(store, one) == 1;
        X509_free(one);
    }
    BIO_free(pem);
    ERR_clear_error(); /* the end of the text is no error */
    return n > 0 ? 0 : why_text(why, "there is no certificate in it");
}

struct tls *
tls_client_new(struct view ca, struct why *why)
{
    struct tls *tls = mem_alloc(sizeof(*tls));

    if (memory_index < 0)
        memory_index =
            SSL_get_ex_new_index(0, NULL, NULL, NULL, on_memory_free);
    tls->context = SSL_CTX_new(TLS_client_method());
    if (tls->context == NULL || !tls_set_common(tls->context) ||
        SSL_CTX_dane_enable(tls->context) != 1) {
        tls_why(why, "TLS");
        tls_free(&tls);
    } else if (ca.len > 0 && tls_add_cas(tls->context, ca, why) != 0) {
        tls_free(&tls);
    } else {
        /* RFC 7671 5.1: usage 3 asks for the key and for nothing else. */
        SSL_CTX_dane_set_flags(tls->context, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
        SSL_CTX_set_session_cache_mode(
            tls->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(tls->context, on_session);
    }
    return tls;
}

static const char *
text_of(struct view view, char text[256])
{
    snprintf(text, 256, "%.*s", (int)view.len, view.data);
    return text;
}

static int
demand_names(SSL *ssl, const struct tls_demand *demand)
{
    char name[256];

    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    for (size_t i = 0; i < demand->n_names; i++)
        if (SSL_add1_host(ssl, text_of(demand->names[i], name)) != 1)
            return -1;
    if (demand->n_names == 0 && demand->address.len > 0)
        return X509_VERIFY_PARAM_set1_ip_asc(
                   SSL_get0_param(ssl), text_of(demand->address, name)) == 1
                   ? 0
                   : -1;
    return 0;
}

/* Before the names: enabling takes the first one. */
static int
demand_records(SSL *ssl, const struct tls_demand *demand, struct why *why)
{
    char name[256];
    size_t n = 0;

    if (demand->n_records == 0)
        return 0;
    text_of(demand->n_names > 0 ? demand->names[0] : demand->host, name);
    if (SSL_dane_enable(ssl, name[0] != '\0' ? name : NULL) != 1)
        return tls_why(why, "DANE");
    for (size_t i = 0; i < demand->n_records; i++) {
        const struct tls_record *record = &demand->records[i];

        n += SSL_dane_tlsa_add(ssl, (uint8_t)record->usage,
                               (uint8_t)record->selector,
                               (uint8_t)record->matching,
                               (const unsigned char *)record->data.data,
                               record->data.len) == 1;
    }
    ERR_clear_error();
    return n > 0 ? 0 : why_text(why, "no TLSA record makes sense");
}

struct ssl_st *
tls_client_connection(struct tls *tls, const struct tls_demand *demand,
                      struct tls_memory *memory, struct why *why)
{
    SSL *ssl = SSL_new(tls->context);
    char host[256];

    if (ssl == NULL) {
        tls_why(why, "TLS");
        return NULL;
    }
    SSL_set_verify(ssl, demand->proof ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                   NULL);
    if (demand->host.len > 0)
        SSL_set_tlsext_host_name(ssl, text_of(demand->host, host));
    if (demand_records(ssl, demand, why) != 0) {
        SSL_free(ssl);
        return NULL;
    }
    if (demand->proof && demand_names(ssl, demand) != 0) {
        tls_why(why, "a name to be proved");
        SSL_free(ssl);
        return NULL;
    }
    if (memory != NULL && SSL_set_ex_data(ssl, memory_index, memory) == 1) {
        memory->uses++;
        resume(ssl, memory);
    }
    SSL_set_connect_state(ssl);
    return ssl;
}

const char *
tls_reason(const struct ssl_st *ssl)
{
    static char text[160];
    unsigned long error = ERR_get_error();
    long verdict = SSL_get_verify_result(ssl);
    const char *words = error != 0 ? ERR_reason_error_string(error) : NULL;

    ERR_clear_error();
    if (verdict != X509_V_OK && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE)
        snprintf(text, sizeof(text), "TLS: the certificate is not good: %s",
                 X509_verify_cert_error_string(verdict));
    else if (words != NULL)
        snprintf(text, sizeof(text), "TLS: %s", words);
    else
        snprintf(text, sizeof(text), "TLS connection lost");
    return text;
}
