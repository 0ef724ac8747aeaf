/*
 * The counters of all workers, as text for Prometheus.
 *
 * Each process counts by itself. Workers copy their texts to shared memory each second, and the worker that answers adds
 * the labels `worker` and `policy`.
 */

#include "ngx_http_portcullis.h"

/* The number of workers whose counters fit, and the bytes of one text. */
#define NGX_HTTP_PORTCULLIS_WORKERS 128
#define NGX_HTTP_PORTCULLIS_TEXT    4096

typedef struct {
    size_t length;
    u_char text[NGX_HTTP_PORTCULLIS_TEXT - sizeof(size_t)];
} ngx_http_portcullis_slot_t;

/* A text, and how far it was read. */
typedef struct {
    ngx_uint_t  worker;
    ngx_str_t  *policy;
    u_char     *at;
    u_char     *end;
} ngx_http_portcullis_text_t;

static ngx_int_t ngx_http_portcullis_metrics_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_portcullis_merge_texts(ngx_http_request_t *r, ngx_http_portcullis_policies_t *policies,
    ngx_buf_t **result);
static ngx_str_t ngx_http_portcullis_next_line(ngx_http_portcullis_text_t *text);
static ngx_int_t ngx_http_portcullis_init_zone(ngx_shm_zone_t *zone, void *old);


/* The directive `portcullis_metrics`. */
char *
ngx_http_portcullis_metrics(ngx_conf_t *cf, ngx_command_t *command, void *conf)
{
    ngx_http_core_loc_conf_t *core;

    core = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    core->handler = ngx_http_portcullis_metrics_handler;
    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_portcullis_add_metrics(ngx_conf_t *cf, ngx_http_portcullis_policies_t *policies)
{
    size_t          size;
    ngx_shm_zone_t *zone;
    ngx_str_t       name = ngx_string("portcullis_metrics");

    size = policies->count * NGX_HTTP_PORTCULLIS_WORKERS * sizeof(ngx_http_portcullis_slot_t);
    /* The allocator of the zone needs memory for each page. */
    size += size / 64 + 16 * ngx_pagesize;

    zone = ngx_shared_memory_add(cf, &name, size, &ngx_http_portcullis_module);
    if (zone == NULL) {
        return NGX_ERROR;
    }
    zone->init = ngx_http_portcullis_init_zone;
    zone->data = policies;
    /* A new configuration has new workers, whose counters start again. */
    zone->noreuse = 1;
    policies->metrics = zone;

    return NGX_OK;
}


static ngx_int_t
ngx_http_portcullis_init_zone(ngx_shm_zone_t *zone, void *old)
{
    ngx_slab_pool_t                *pool;
    ngx_http_portcullis_policies_t *policies;

    policies = zone->data;
    pool = (ngx_slab_pool_t *) zone->shm.addr;
    pool->data = ngx_slab_calloc(pool, policies->count * NGX_HTTP_PORTCULLIS_WORKERS * sizeof(ngx_http_portcullis_slot_t));

    return pool->data == NULL ? NGX_ERROR : NGX_OK;
}


/* Copies the counters of this worker to the memory that all workers share. */
void
ngx_http_portcullis_publish(ngx_http_portcullis_policies_t *policies)
{
    pcl_text                    text;
    ngx_uint_t                  i;
    pcl_string                 *string;
    ngx_slab_pool_t            *pool;
    ngx_http_portcullis_slot_t *slot;

    if (ngx_worker >= NGX_HTTP_PORTCULLIS_WORKERS) {
        return;
    }
    pool = (ngx_slab_pool_t *) policies->metrics->shm.addr;
    slot = (ngx_http_portcullis_slot_t *) pool->data + ngx_worker * policies->count;

    for (i = 0; i < policies->count; i++) {
        string = pcl_metrics(policies->list[i]->handle);
        text = pcl_string_text(string);
        ngx_shmtx_lock(&pool->mutex);
        slot[i].length = text.length <= sizeof(slot[i].text) ? text.length : 0;
        if (slot[i].length > 0) {
            ngx_memcpy(slot[i].text, text.data, slot[i].length);
        }
        ngx_shmtx_unlock(&pool->mutex);
        pcl_string_free(string);
    }
}


static ngx_int_t
ngx_http_portcullis_metrics_handler(ngx_http_request_t *r)
{
    ngx_int_t                        rc;
    ngx_buf_t                       *b;
    ngx_chain_t                      out;
    ngx_http_portcullis_main_conf_t *main;

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }
    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    main = ngx_http_get_module_main_conf(r, ngx_http_portcullis_module);
    if (main->policies.metrics == NULL) {
        return NGX_HTTP_NOT_FOUND;
    }
    ngx_http_portcullis_publish(&main->policies);
    if (ngx_http_portcullis_merge_texts(r, &main->policies, &b) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;
    ngx_str_set(&r->headers_out.content_type, "text/plain; version=0.0.4");
    r->headers_out.content_type_len = sizeof("text/plain") - 1;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }
    b->last_buf = r == r->main;
    b->last_in_chain = 1;
    out.buf = b;
    out.next = NULL;
    return ngx_http_output_filter(r, &out);
}


/*
 * Writes the texts of all workers and policies as one. All have the same lines, because one library wrote them: of each
 * line, the samples of all texts follow each other.
 */
static ngx_int_t
ngx_http_portcullis_merge_texts(ngx_http_request_t *r, ngx_http_portcullis_policies_t *policies, ngx_buf_t **result)
{
    size_t                      size;
    u_char                     *brace, *name_end;
    ngx_str_t                   line;
    ngx_uint_t                  worker, i, count, is_comment;
    ngx_array_t                 texts;
    ngx_buf_t                  *b;
    ngx_slab_pool_t            *pool;
    ngx_http_portcullis_slot_t *slot, *copy;
    ngx_http_portcullis_text_t *text;

    if (ngx_array_init(&texts, r->pool, 8, sizeof(ngx_http_portcullis_text_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    size = 1;
    pool = (ngx_slab_pool_t *) policies->metrics->shm.addr;
    slot = pool->data;
    for (worker = 0; worker < NGX_HTTP_PORTCULLIS_WORKERS; worker++) {
        for (i = 0; i < policies->count; i++, slot++) {
            if (slot->length == 0) {
                continue;
            }
            text = ngx_array_push(&texts);
            copy = ngx_palloc(r->pool, sizeof(ngx_http_portcullis_slot_t));
            if (text == NULL || copy == NULL) {
                return NGX_ERROR;
            }
            ngx_shmtx_lock(&pool->mutex);
            *copy = *slot;
            ngx_shmtx_unlock(&pool->mutex);
            text->worker = worker;
            text->policy = &policies->list[i]->label;
            text->at = copy->text;
            text->end = copy->text + copy->length;
            for (count = 0, name_end = text->at; name_end < text->end; name_end++) {
                count += *name_end == '\n';
            }
            size += copy->length + count * (text->policy->len + sizeof("{worker=\"\",policy=\"\",}") + NGX_INT_T_LEN);
        }
    }

    b = ngx_create_temp_buf(r->pool, size);
    if (b == NULL) {
        return NGX_ERROR;
    }
    *result = b;

    text = texts.elts;
    while (texts.nelts > 0 && text[0].at < text[0].end) {
        is_comment = text[0].at[0] == '#';
        for (i = 0; i < texts.nelts; i++) {
            line = ngx_http_portcullis_next_line(&text[i]);
            if (is_comment) {
                if (i == 0) {
                    b->last = ngx_sprintf(b->last, "%V\n", &line);
                }
                continue;
            }
            brace = ngx_strlchr(line.data, line.data + line.len, '{');
            name_end = brace != NULL ? brace : ngx_strlchr(line.data, line.data + line.len, ' ');
            if (name_end == NULL) {
                continue;
            }
            b->last = ngx_cpymem(b->last, line.data, name_end - line.data);
            b->last = ngx_sprintf(b->last, "{worker=\"%ui\",policy=\"%V\"%s", text[i].worker, text[i].policy,
                                  brace != NULL ? "," : "}");
            if (brace != NULL) {
                name_end++;
            }
            b->last = ngx_cpymem(b->last, name_end, line.data + line.len - name_end);
            *b->last++ = '\n';
        }
    }

    return NGX_OK;
}


static ngx_str_t
ngx_http_portcullis_next_line(ngx_http_portcullis_text_t *text)
{
    u_char    *end;
    ngx_str_t  line;

    end = ngx_strlchr(text->at, text->end, '\n');
    if (end == NULL) {
        end = text->end;
    }
    line.data = text->at;
    line.len = end - text->at;
    text->at = ngx_min(end + 1, text->end);

    return line;
}
