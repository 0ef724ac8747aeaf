/*
 * The gate: lets a request pass only if the policy allows the path that is routed.
 *
 * - In the rewrite phase before `return`, `rewrite` and `set` of the location, also for subrequests and after each internal
 *   redirect.
 * - Before the content, if the target was changed since: `rewrite … break`, `ngx.req.set_uri`.
 * - In the filter of response headers, for responses that no phase decided: `return` of the server.
 */

#include "ngx_http_portcullis.h"

static ngx_uint_t ngx_http_portcullis_is_decided(ngx_http_request_t *r, ngx_http_portcullis_ctx_t *ctx,
    ngx_http_portcullis_policy_t *policy, ngx_str_t *target);
static ngx_http_portcullis_ctx_t *ngx_http_portcullis_create_ctx(ngx_http_request_t *r);
static const pcl_answer *ngx_http_portcullis_ask(ngx_http_request_t *r, ngx_http_portcullis_ctx_t *ctx, ngx_str_t *target);
static ngx_int_t ngx_http_portcullis_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_portcullis_body_filter(ngx_http_request_t *r, ngx_chain_t *in);
static void ngx_http_portcullis_ctx_cleanup(void *data);


static ngx_http_output_header_filter_pt ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt   ngx_http_next_body_filter;


/* The handler of the phases. */
ngx_int_t
ngx_http_portcullis_gate(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_str_t                       target;
    const pcl_answer               *answer;
    ngx_http_portcullis_ctx_t      *ctx, *main;
    ngx_http_portcullis_loc_conf_t *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_portcullis_module);
    ctx = ngx_http_portcullis_ctx(r);

    if (!conf->enabled) {
        /* Upstreams of these locations trust the headers too. */
        if (ctx == NULL && r == r->main && ngx_http_portcullis_set_headers(r, NULL) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        return NGX_DECLINED;
    }

    if (ctx == NULL) {
        ctx = ngx_http_portcullis_create_ctx(r);
    }
    if (ctx == NULL || ngx_http_portcullis_target(r, &target) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_portcullis_is_decided(r, ctx, conf->policy, &target)) {
        return NGX_DECLINED;
    }
    main = r == r->main ? NULL : ngx_http_portcullis_ctx(r->main);
    if (main != NULL && ngx_http_portcullis_is_decided(r, main, conf->policy, &target)) {
        /* A part of the same response, such as a slice. */
        ctx->is_allowed = 1;
        return NGX_DECLINED;
    }

    /* From here on, nothing that was allowed before counts. */
    ctx->is_allowed = 0;
    ctx->policy = conf->policy;
    rc = ngx_http_portcullis_read_body(r, ctx, &target);
    if (rc != NGX_OK) {
        return rc == NGX_ERROR ? NGX_HTTP_INTERNAL_SERVER_ERROR : rc;
    }

    answer = ngx_http_portcullis_ask(r, ctx, &target);
    if (answer == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->is_allowed) {
        rc = ngx_http_portcullis_set_headers(r, answer);
        pcl_answer_free(answer);
        return rc == NGX_OK ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->is_answered = 1;
    rc = ngx_http_portcullis_send(r, answer);
    pcl_answer_free(answer);
    /* In some phases, the result NGX_OK would continue with the next phase. */
    ngx_http_finalize_request(r, rc);
    return NGX_DONE;
}


/* Decides, and keeps the result in `ctx`. The caller frees the answer. NULL on failure. */
static const pcl_answer *
ngx_http_portcullis_ask(ngx_http_request_t *r, ngx_http_portcullis_ctx_t *ctx, ngx_str_t *target)
{
    const pcl_answer *answer;

    answer = ngx_http_portcullis_decide(r, ctx, target, ngx_http_portcullis_body(r, ctx));
    if (answer == NULL) {
        return NULL;
    }
    if (ngx_http_portcullis_keep(r, ctx, answer) != NGX_OK) {
        pcl_answer_free(answer);
        return NULL;
    }
    ctx->method = r->method_name;
    ctx->target = *target;
    ctx->is_allowed = answer->allowed == 1;

    return answer;
}


/* Whether `ctx` has an allow for this method and target by this policy. */
static ngx_uint_t
ngx_http_portcullis_is_decided(ngx_http_request_t *r, ngx_http_portcullis_ctx_t *ctx, ngx_http_portcullis_policy_t *policy,
    ngx_str_t *target)
{
    return ctx->is_allowed && ctx->policy == policy
        && ctx->target.len == target->len && ngx_memcmp(ctx->target.data, target->data, target->len) == 0
        && ctx->method.len == r->method_name.len
        && ngx_memcmp(ctx->method.data, r->method_name.data, r->method_name.len) == 0;
}


/* Returns the decision on a request; NULL before. An internal redirect clears the contexts of modules, but no cleanups. */
ngx_http_portcullis_ctx_t *
ngx_http_portcullis_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t        *cln;
    ngx_http_portcullis_ctx_t *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_portcullis_module);
    if (ctx != NULL || (!r->internal && !r->filter_finalize)) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln != NULL; cln = cln->next) {
        if (cln->handler == ngx_http_portcullis_ctx_cleanup) {
            ctx = cln->data;
            if (ctx->request == r) {
                ngx_http_set_ctx(r, ctx, ngx_http_portcullis_module);
                return ctx;
            }
        }
    }

    return NULL;
}


static ngx_http_portcullis_ctx_t *
ngx_http_portcullis_create_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t        *cln;
    ngx_http_portcullis_ctx_t *ctx;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_portcullis_ctx_t));
    if (cln == NULL) {
        return NULL;
    }
    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_portcullis_ctx_t));
    ctx->request = r;
    cln->handler = ngx_http_portcullis_ctx_cleanup;
    ngx_http_set_ctx(r, ctx, ngx_http_portcullis_module);

    return ctx;
}


static void
ngx_http_portcullis_ctx_cleanup(void *data)
{
    /* The handler only marks the context. */
}


/* Denies a response that no phase decided. Errors of nginx itself, such as 400, need no decision. */
static ngx_int_t
ngx_http_portcullis_header_filter(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_str_t                       target;
    ngx_chain_t                     out;
    const pcl_answer               *answer;
    ngx_http_portcullis_ctx_t      *ctx;
    ngx_http_portcullis_loc_conf_t *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_portcullis_module);
    if (!conf->enabled || r->headers_out.status >= NGX_HTTP_BAD_REQUEST) {
        return ngx_http_next_header_filter(r);
    }

    ctx = ngx_http_portcullis_ctx(r);
    if (ctx != NULL && (ctx->is_allowed || ctx->is_answered)) {
        return ngx_http_next_header_filter(r);
    }

    if (ctx == NULL) {
        ctx = ngx_http_portcullis_create_ctx(r);
    }
    if (ctx == NULL || ngx_http_portcullis_target(r, &target) != NGX_OK) {
        return NGX_ERROR;
    }
    ctx->policy = conf->policy;
    answer = ngx_http_portcullis_ask(r, ctx, &target);
    if (answer == NULL) {
        return NGX_ERROR;
    }
    if (ctx->is_allowed) {
        pcl_answer_free(answer);
        return ngx_http_next_header_filter(r);
    }

    ctx->is_answered = 1;
    ctx->is_replaced = 1;
    rc = ngx_http_portcullis_prepare(r, answer, &out);
    pcl_answer_free(answer);
    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_next_header_filter(r);
    if (rc == NGX_ERROR || rc > NGX_OK || out.buf == NULL) {
        return rc;
    }
    /* The sender of the other response sends no body then. */
    r->header_only = 1;
    return ngx_http_next_body_filter(r, &out);
}


static ngx_int_t
ngx_http_portcullis_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_portcullis_ctx_t *ctx;

    ctx = ngx_http_portcullis_ctx(r);
    if (ctx == NULL || !ctx->is_replaced) {
        return ngx_http_next_body_filter(r, in);
    }

    for ( /* void */ ; in != NULL; in = in->next) {
        in->buf->pos = in->buf->last;
        in->buf->file_pos = in->buf->file_last;
    }
    return ngx_http_next_body_filter(r, NULL);
}


void
ngx_http_portcullis_init_filters(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_portcullis_header_filter;
    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_portcullis_body_filter;
}
