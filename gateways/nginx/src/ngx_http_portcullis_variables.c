/* Variables for logs and headers. Nothing in them is a client's own text. */

#include "ngx_http_portcullis.h"

static ngx_int_t ngx_http_portcullis_string(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t offset);
static ngx_int_t ngx_http_portcullis_token_id(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t unused);
static ngx_int_t ngx_http_portcullis_generation(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t unused);


static ngx_http_variable_t ngx_http_portcullis_variables[] = {

    { ngx_string("portcullis_token_id"), NULL, ngx_http_portcullis_token_id, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("portcullis_reason"), NULL, ngx_http_portcullis_string,
      offsetof(ngx_http_portcullis_ctx_t, reason), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("portcullis_shadow"), NULL, ngx_http_portcullis_string,
      offsetof(ngx_http_portcullis_ctx_t, shadow), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("portcullis_generation"), NULL, ngx_http_portcullis_generation, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_portcullis_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t *declared, *added;

    for (declared = ngx_http_portcullis_variables; declared->name.len > 0; declared++) {
        added = ngx_http_add_variable(cf, &declared->name, declared->flags);
        if (added == NULL) {
            return NGX_ERROR;
        }
        added->get_handler = declared->get_handler;
        added->data = declared->data;
    }

    return NGX_OK;
}


/* Escapes an id as the header `X-Portcullis-Token-Id` does: a proxy may copy it into a header. */
static u_char *
ngx_http_portcullis_escape(u_char *to, ngx_str_t *id)
{
    size_t i;
    u_char c;

    for (i = 0; i < id->len; i++) {
        c = id->data[i];
        if (c <= ' ' || c >= 0x7f || c == '%' || c == ',' || c == '"') {
            to = ngx_sprintf(to, "%%%02Xd", (int) c);
        } else {
            *to++ = c;
        }
    }

    return to;
}


/* Keeps what variables show. */
ngx_int_t
ngx_http_portcullis_keep(ngx_http_request_t *r, ngx_http_portcullis_ctx_t *ctx, const pcl_answer *answer)
{
    ctx->token_id.len = answer->token_id.length;
    if (ctx->token_id.len > 0) {
        ctx->token_id.data = ngx_pnalloc(r->pool, ctx->token_id.len);
        if (ctx->token_id.data == NULL) {
            return NGX_ERROR;
        }
        ngx_memcpy(ctx->token_id.data, answer->token_id.data, ctx->token_id.len);
    }

    /* A reason is never freed. */
    ctx->reason.data = (u_char *) answer->reason.data;
    ctx->reason.len = answer->reason.length;
    ctx->generation = answer->generation;

    return NGX_OK;
}


static ngx_int_t
ngx_http_portcullis_token_id(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t unused)
{
    ngx_http_portcullis_ctx_t *ctx;

    ctx = ngx_http_portcullis_ctx(r);
    if (ctx == NULL || ctx->token_id.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, 3 * ctx->token_id.len);
    if (v->data == NULL) {
        return NGX_ERROR;
    }
    v->len = ngx_http_portcullis_escape(v->data, &ctx->token_id) - v->data;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;
    return NGX_OK;
}


static ngx_int_t
ngx_http_portcullis_string(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t offset)
{
    ngx_str_t                 *value;
    ngx_http_portcullis_ctx_t *ctx;

    ctx = ngx_http_portcullis_ctx(r);
    value = ctx == NULL ? NULL : (ngx_str_t *) ((u_char *) ctx + offset);
    if (value == NULL || value->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = value->data;
    v->len = value->len;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;
    return NGX_OK;
}


static ngx_int_t
ngx_http_portcullis_generation(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t unused)
{
    ngx_http_portcullis_ctx_t *ctx;

    ctx = ngx_http_portcullis_ctx(r);
    if (ctx == NULL || ctx->generation == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (v->data == NULL) {
        return NGX_ERROR;
    }
    v->len = ngx_sprintf(v->data, "%uL", ctx->generation) - v->data;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;
    return NGX_OK;
}
