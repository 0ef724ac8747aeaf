# A map service on Rack, run by Puma. It reports what it reads in the header `X-Report`.

require 'json'
require 'rack'

# Returns every text in a parameter's value: an application may take the first, the last or all of them.
def texts(value)
  case value
  when String then [value]
  when Array then value.flat_map { |each| texts(each) }
  when Hash then value.values.flat_map { |each| texts(each) }
  else []
  end
end

def reads(path, view)
  get = ->(name) { texts(view[name]) }
  found = []
  add = ->(api, kind, connection, texts) { texts.each { |text| found << [api, kind, connection, text] } }
  case path
  when %r{\Amaps/([^/]+)/(?:table|tileset|raster)(?:/|\z)}
    add.call('maps', 'resource', $1, get.call('name'))
  when %r{\Amaps/([^/]+)/query(?:/|\z)}
    add.call('maps', 'q', $1, get.call('q'))
  when %r{\Amaps/([^/]+)/boundary(?:/|\z)}
    add.call('maps', 'resource', $1, get.call('tilesetTableName'))
    add.call('maps', 'resource', $1, get.call('propertiesTableName'))
    add.call('maps', 'query', $1, get.call('propertiesSqlQuery'))
  when %r{\Asql/([^/]+)/(?:query|job)/?\z}
    add.call('sql', 'q', $1, get.call('q'))
  when %r{\Asql/([^/]+)/model/[^/]+/?\z}
    get.call('type').each { |type| add.call('model', type == 'query' ? 'q' : 'resource', $1, get.call('source')) }
  when %r{\Astats/([^/]+)/([^/]+)/[^/]+/?\z}
    add.call('maps', 'resource', $1, [$2])
    add.call('maps', 'q', $1, get.call('q'))
  when %r{\Astats/([^/]+)/[^/]+/?\z}
    add.call('maps', 'q', $1, get.call('q'))
  when %r{\Aimports/([^/]+)/?\z}
    add.call('imports', 'resource', $1, get.call('destination'))
  end
  found
end

use Rack::MethodOverride

run(lambda do |env|
  request = Rack::Request.new(env)
  query = request.GET
  form = request.POST
  both = request.params
  env['rack.input'].rewind
  body = env['rack.input'].read
  json = begin
    request.media_type.to_s.end_with?('json') ? JSON.parse(body) : {}
  rescue JSON::ParserError
    {}
  end
  json = {} unless json.is_a?(Hash)
  # As Sinatra and Rails do, the whole path is decoded before it is matched.
  path = Rack::Utils.unescape_path(request.path_info).force_encoding('UTF-8').scrub
  found = []
  if request.request_method != 'OPTIONS' && (match = path.match(%r{\A(?:/api)?/v3/(.*)\z}m))
    views = [query, form, both, json, both.merge(json), json.merge(both)]
    found = views.flat_map { |view| reads(match[1], view) }.uniq
  end
  clean = ->(text) { text.dup.force_encoding('UTF-8').scrub }
  found = found.map { |read| read.map(&clean) }
  report = { method: request.request_method, reads: found, token_id: clean.call(env['HTTP_X_PORTCULLIS_TOKEN_ID'].to_s),
             tokens: texts(both['access_token']).map(&clean) }
  [200, { 'X-Report' => [JSON.generate(report)].pack('m0') }, []]
end)
