/* What is decided: the path that is routed, all headers, and the body where it may name a source. */

#include "ngx_http_portcullis.h"

static void ngx_http_portcullis_body_arrived(ngx_http_request_t *r);
static ngx_int_t ngx_http_portcullis_collect(ngx_http_request_t *r, ngx_http_portcullis_ctx_t *ctx);
static ngx_int_t ngx_http_portcullis_headers(ngx_http_request_t *r, pcl_http_request *request, pcl_header *few);

/* Most requests have fewer headers than these. */
#define NGX_HTTP_PORTCULLIS_FEW 32


static pcl_text
ngx_http_portcullis_text(ngx_str_t *string)
{
    /* An empty string may have no data, but it is not missing. */
    pcl_text text = {string->data == NULL ? "" : (char *) string->data, string->len};
    return text;
}


/* Writes the target that `proxy_pass` without a URI sends: as the client wrote it, or rewritten and escaped again. */
ngx_int_t
ngx_http_portcullis_target(ngx_http_request_t *r, ngx_str_t *target)
{
    u_char    *p;
    uintptr_t  escapes;

    if (r->valid_unparsed_uri && r == r->main) {
        *target = r->unparsed_uri;
        return NGX_OK;
    }

    escapes = r->quoted_uri || r->internal ? ngx_escape_uri(NULL, r->uri.data, r->uri.len, NGX_ESCAPE_URI) : 0;

    p = ngx_pnalloc(r->pool, r->uri.len + 2 * escapes + 1 + r->args.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    target->data = p;
    if (escapes == 0) {
        p = ngx_cpymem(p, r->uri.data, r->uri.len);
    } else {
        p = (u_char *) ngx_escape_uri(p, r->uri.data, r->uri.len, NGX_ESCAPE_URI);
    }
    if (r->args.len > 0) {
        *p++ = '?';
        p = ngx_cpymem(p, r->args.data, r->args.len);
    }
    target->len = p - target->data;

    return NGX_OK;
}


/* Whether the client announced a body. Over HTTP/2, nginx sets `chunked` for one without a length. */
static ngx_uint_t
ngx_http_portcullis_announces_body(ngx_http_request_t *r)
{
    ngx_table_elt_t *length;

    /* `content_length_n` is 0 after the body was discarded. */
    length = r->headers_in.content_length;
    return r->headers_in.chunked || (length != NULL && ngx_atoof(length->value.data, length->value.len) != 0);
}


/* Reads the body if the decision needs it. NGX_OK: it is there, or not needed. NGX_DONE: the phases run again later. */
ngx_int_t
ngx_http_portcullis_read_body(ngx_http_request_t *r, ngx_http_portcullis_ctx_t *ctx, ngx_str_t *target)
{
    ngx_int_t rc;

    if (ctx->body.data != NULL || !ngx_http_portcullis_announces_body(r)
        || !pcl_needs_body(ctx->policy->handle, ngx_http_portcullis_text(&r->method_name), ngx_http_portcullis_text(target)))
    {
        return NGX_OK;
    }

    if (r != r->main || r->request_body != NULL || r->discard_body) {
        return ngx_http_portcullis_collect(r, ctx);
    }

    rc = ngx_http_read_client_request_body(r, ngx_http_portcullis_body_arrived);
    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);
    return NGX_DONE;
}


static void
ngx_http_portcullis_body_arrived(ngx_http_request_t *r)
{
    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


/* Returns the body for a decision; missing if it was not read. */
pcl_text
ngx_http_portcullis_body(ngx_http_request_t *r, ngx_http_portcullis_ctx_t *ctx)
{
    pcl_text none = {"", 0}, missing = {NULL, 0};

    if (ctx->body.data != NULL) {
        return ctx->body;
    }
    return ngx_http_portcullis_announces_body(r) ? missing : none;
}


/* Makes one piece of the buffers and the temporary file of a body. */
static ngx_int_t
ngx_http_portcullis_collect(ngx_http_request_t *r, ngx_http_portcullis_ctx_t *ctx)
{
    off_t        length, part;
    size_t       limit, size;
    u_char      *p, *end;
    ssize_t      n;
    ngx_buf_t   *b;
    ngx_chain_t *cl;

    if (r->request_body == NULL || r->reading_body || r->discard_body) {
        /* The body is not known as a whole: it stays missing. */
        return NGX_OK;
    }

    length = 0;
    for (cl = r->request_body->bufs; cl != NULL; cl = cl->next) {
        length += ngx_buf_size(cl->buf);
    }

    if (length == 0) {
        ctx->body = pcl_text_of("");
        return NGX_OK;
    }

    cl = r->request_body->bufs;
    if (cl->next == NULL && ngx_buf_in_memory(cl->buf)) {
        ctx->body.data = (char *) cl->buf->pos;
        ctx->body.length = (size_t) length;
        return NGX_OK;
    }

    /* One byte more than the limit is enough for a denial. */
    limit = ctx->policy->options.max_body;
    size = (size_t) ngx_min(length, (off_t) limit + 1);
    p = ngx_palloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }
    ctx->body.data = (char *) p;
    ctx->body.length = size;
    end = p + size;

    for ( /* void */ ; cl != NULL && p < end; cl = cl->next) {
        b = cl->buf;
        part = ngx_min(ngx_buf_size(b), (off_t) (end - p));
        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, (size_t) part);
            continue;
        }
        n = ngx_read_file(b->file, p, (size_t) part, b->file_pos);
        if (n != part) {
            ngx_log_error(NGX_LOG_CRIT, r->connection->log, 0, "portcullis: cannot read the request body from its file");
            ctx->body.data = NULL;
            ctx->body.length = 0;
            return NGX_ERROR;
        }
        p += n;
    }

    return NGX_OK;
}


/* Decides. The caller frees the answer. NULL if there is not enough memory. */
const pcl_answer *
ngx_http_portcullis_decide(ngx_http_request_t *r, ngx_http_portcullis_ctx_t *ctx, ngx_str_t *target, pcl_text body)
{
    const pcl_answer               *answer, *shadow;
    pcl_header                      few[NGX_HTTP_PORTCULLIS_FEW];
    pcl_http_request                request;
    ngx_http_portcullis_loc_conf_t *conf;

    ngx_memzero(&request, sizeof(request));
    request.struct_size = sizeof(request);
    request.method = ngx_http_portcullis_text(&r->method_name);
    request.target = ngx_http_portcullis_text(target);
    request.body = body;
    if (ngx_http_portcullis_headers(r, &request, few) != NGX_OK) {
        return NULL;
    }

    answer = pcl_decide_http(ctx->policy->handle, &request);

    conf = ngx_http_get_module_loc_conf(r, ngx_http_portcullis_module);
    if (conf->shadow != NULL) {
        shadow = pcl_decide_http(conf->shadow->handle, &request);
        ctx->shadow.len = 0;
        if (shadow->allowed == 1) {
            ngx_str_set(&ctx->shadow, "allow");
        } else if (shadow->reason.length > 0) {
            /* A reason is never freed. */
            ctx->shadow.data = (u_char *) shadow->reason.data;
            ctx->shadow.len = shadow->reason.length;
        }
        pcl_answer_free(shadow);
    }

    return answer;
}


/* Points to all headers, in `few` if they fit. */
static ngx_int_t
ngx_http_portcullis_headers(ngx_http_request_t *r, pcl_http_request *request, pcl_header *few)
{
    size_t           count;
    ngx_uint_t       i;
    pcl_header      *headers;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    count = 0;
    for (part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        count += part->nelts;
    }

    /* The pool of a request has few free bytes, and a second block of it is expensive. */
    headers = count <= NGX_HTTP_PORTCULLIS_FEW ? few : ngx_palloc(r->pool, count * sizeof(pcl_header));
    if (headers == NULL) {
        return NGX_ERROR;
    }
    request->headers = headers;
    request->header_count = count;

    for (part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        h = part->elts;
        for (i = 0; i < part->nelts; i++) {
            headers->name = ngx_http_portcullis_text(&h[i].key);
            headers->value = ngx_http_portcullis_text(&h[i].value);
            headers++;
        }
    }

    return NGX_OK;
}
