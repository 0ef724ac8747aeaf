/* Answers to clients, and headers for the upstream. */

#include "ngx_http_portcullis.h"

/* The name of a header, and its hash; 0 before it is computed. */
typedef struct {
    ngx_str_t  text;
    ngx_uint_t hash;
} ngx_http_portcullis_name_t;

static ngx_int_t ngx_http_portcullis_remove_headers(ngx_http_request_t *r, ngx_list_t *list, const pcl_answer *answer);
static ngx_uint_t ngx_http_portcullis_is_removed(ngx_table_elt_t *h, const pcl_answer *answer);
static ngx_http_portcullis_name_t *ngx_http_portcullis_known(pcl_text name);
static ngx_int_t ngx_http_portcullis_copy(ngx_pool_t *pool, ngx_str_t *to, pcl_text from);
static ngx_int_t ngx_http_portcullis_push(ngx_pool_t *pool, ngx_list_t *list, pcl_header header);


/* The prefix of all headers that describe a decision. Clients may not send them. */
static ngx_str_t ngx_http_portcullis_own = ngx_string("x-portcullis-");

/* The names of the headers for the upstream, so that no request copies them. */
static ngx_http_portcullis_name_t ngx_http_portcullis_names[] = {
    { ngx_string("x-portcullis-token-id"), 0 },
    { ngx_string("x-portcullis-generation"), 0 },
};


/* Removes the client's headers that describe a decision, and sets those of `answer`; NULL only removes. */
ngx_int_t
ngx_http_portcullis_set_headers(ngx_http_request_t *r, const pcl_answer *answer)
{
    size_t           i;
    ngx_list_t      *list;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;
    ngx_uint_t       n, removed;

    removed = 0;
    for (part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        h = part->elts;
        for (n = 0; n < part->nelts; n++) {
            removed += ngx_http_portcullis_is_removed(&h[n], answer);
        }
    }
    list = &r->headers_in.headers;
    if (removed > 0 && ngx_http_portcullis_remove_headers(r, list, answer) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; answer != NULL && i < answer->header_count; i++) {
        if (ngx_http_portcullis_push(r->pool, list, answer->headers[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Other modules point to elements of the list, so no element moves: new parts refer to the elements that stay. */
static ngx_int_t
ngx_http_portcullis_remove_headers(ngx_http_request_t *r, ngx_list_t *list, const pcl_answer *answer)
{
    ngx_list_part_t *part, *run, parts, *last;
    ngx_table_elt_t *h;
    ngx_uint_t       n;

    ngx_memzero(&parts, sizeof(parts));
    last = NULL;

    for (part = &list->part; part != NULL; part = part->next) {
        h = part->elts;
        run = NULL;
        for (n = 0; n < part->nelts; n++) {
            if (ngx_http_portcullis_is_removed(&h[n], answer)) {
                run = NULL;
                continue;
            }
            if (run == NULL) {
                run = last == NULL ? &parts : ngx_palloc(r->pool, sizeof(ngx_list_part_t));
                if (run == NULL) {
                    return NGX_ERROR;
                }
                run->elts = &h[n];
                run->nelts = 0;
                run->next = NULL;
                if (last != NULL) {
                    last->next = run;
                }
                last = run;
            }
            run->nelts++;
        }
    }

    /* No part may be empty, except the first. */
    if (last == NULL) {
        parts.elts = ngx_palloc(r->pool, list->nalloc * list->size);
        if (parts.elts == NULL) {
            return NGX_ERROR;
        }
    }
    list->part = parts;
    if (last == NULL || last == &parts) {
        last = &list->part;
    }
    list->last = last;
    if (last->nelts > 0) {
        /* The memory after these elements belongs to others: the next push starts a new part. */
        list->nalloc = last->nelts;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_portcullis_is_removed(ngx_table_elt_t *h, const pcl_answer *answer)
{
    size_t i;

    /* Most names start with another letter. */
    if (h->key.len >= ngx_http_portcullis_own.len && (h->key.data[0] | 0x20) == 'x'
        && ngx_strncasecmp(h->key.data, ngx_http_portcullis_own.data, ngx_http_portcullis_own.len) == 0)
    {
        return 1;
    }

    for (i = 0; answer != NULL && i < answer->removed_count; i++) {
        if (answer->removed[i].length == h->key.len
            && ngx_strncasecmp(h->key.data, (u_char *) answer->removed[i].data, h->key.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_portcullis_push(ngx_pool_t *pool, ngx_list_t *list, pcl_header header)
{
    ngx_table_elt_t            *h;
    ngx_http_portcullis_name_t *known;

    h = ngx_list_push(list);
    if (h == NULL) {
        return NGX_ERROR;
    }
    ngx_memzero(h, sizeof(ngx_table_elt_t));

    known = ngx_http_portcullis_known(header.name);
    if (known != NULL) {
        h->key = known->text;
        h->hash = known->hash;
    } else {
        if (ngx_http_portcullis_copy(pool, &h->key, header.name) != NGX_OK) {
            return NGX_ERROR;
        }
        h->hash = ngx_hash_key(h->key.data, h->key.len);
    }
    /* The library writes names in lower case. */
    h->lowcase_key = h->key.data;

    return ngx_http_portcullis_copy(pool, &h->value, header.value);
}


static ngx_http_portcullis_name_t *
ngx_http_portcullis_known(pcl_text name)
{
    ngx_uint_t                  i;
    ngx_http_portcullis_name_t *known;

    for (i = 0; i < sizeof(ngx_http_portcullis_names) / sizeof(ngx_http_portcullis_names[0]); i++) {
        known = &ngx_http_portcullis_names[i];
        if (known->text.len == name.length && ngx_memcmp(known->text.data, name.data, name.length) == 0) {
            if (known->hash == 0) {
                known->hash = ngx_hash_key(known->text.data, known->text.len);
            }
            return known;
        }
    }

    return NULL;
}


/* Copies a text, with a zero byte after it: some functions of nginx read a text up to one. */
static ngx_int_t
ngx_http_portcullis_copy(ngx_pool_t *pool, ngx_str_t *to, pcl_text from)
{
    to->data = ngx_pnalloc(pool, from.length + 1);
    if (to->data == NULL) {
        return NGX_ERROR;
    }
    to->len = from.length;
    if (from.length > 0) {
        ngx_memcpy(to->data, from.data, from.length);
    }
    to->data[to->len] = '\0';
    return NGX_OK;
}


/* Sets status and headers of the response, and the body in `out`, whose buffer is NULL if there is none. */
ngx_int_t
ngx_http_portcullis_prepare(ngx_http_request_t *r, const pcl_answer *answer, ngx_chain_t *out)
{
    size_t     i;
    ngx_str_t  body, name;
    ngx_buf_t *b;

    ngx_http_clean_header(r);
    r->headers_out.status = answer->status;
    /* The status of `error_page 404 =200 …`, which led here, would replace that of a denial. */
    r->err_status = 0;

    for (i = 0; i < answer->header_count; i++) {
        name.data = (u_char *) answer->headers[i].name.data;
        name.len = answer->headers[i].name.length;
        if (name.len == sizeof("content-type") - 1
            && ngx_strncasecmp(name.data, (u_char *) "content-type", name.len) == 0)
        {
            if (ngx_http_portcullis_copy(r->pool, &r->headers_out.content_type, answer->headers[i].value) != NGX_OK) {
                return NGX_ERROR;
            }
            r->headers_out.content_type_len = r->headers_out.content_type.len;
            r->headers_out.content_type_lowcase = NULL;
            continue;
        }
        if (ngx_http_portcullis_push(r->pool, &r->headers_out.headers, answer->headers[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    out->buf = NULL;
    out->next = NULL;
    /* A subrequest of `auth_request` and a `post_action` have no body. Otherwise, `return 204` may have set the flag. */
    r->header_only = ((r != r->main || r->post_action) && r->header_only) || r->method == NGX_HTTP_HEAD || answer->body.length == 0;
    if (answer->status != NGX_HTTP_NO_CONTENT) {
        r->headers_out.content_length_n = answer->body.length;
    }
    if (r->header_only) {
        return NGX_OK;
    }

    if (ngx_http_portcullis_copy(r->pool, &body, answer->body) != NGX_OK) {
        return NGX_ERROR;
    }
    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }
    b->pos = body.data;
    b->last = body.data + body.len;
    b->memory = 1;
    b->last_buf = r == r->main;
    b->last_in_chain = 1;
    out->buf = b;

    return NGX_OK;
}


/* Sends a denial, or the answer to a preflight. */
ngx_int_t
ngx_http_portcullis_send(ngx_http_request_t *r, const pcl_answer *answer)
{
    ngx_int_t   rc;
    ngx_chain_t out;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_portcullis_prepare(r, answer, &out) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, &out);
}
