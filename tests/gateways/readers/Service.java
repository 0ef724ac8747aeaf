// A map service on Tomcat. It reports what it reads in the header `X-Report`.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;

public class Service extends HttpServlet {
    private static final ObjectMapper JSON = new ObjectMapper();

    @Override
    protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
        // Of a form, this reads the body.
        Map<String, List<String>> parameters = new HashMap<>();
        request.getParameterMap().forEach((name, values) -> parameters.put(name, List.of(values)));
        Map<String, List<String>> body = new HashMap<>();
        try {
            JsonNode tree = JSON.readTree(request.getInputStream());
            if (tree != null && tree.isObject()) {
                tree.fields().forEachRemaining(field -> body.put(field.getKey(), texts(field.getValue())));
            }
        } catch (IOException notJson) {
            body.clear();
        }
        String method = request.getMethod();
        // Spring's filter lets this parameter replace the method of a POST.
        if (method.equals("POST") && parameters.containsKey("_method")) {
            method = parameters.get("_method").get(0).toUpperCase();
        }
        Collection<List<String>> reads = new LinkedHashSet<>();
        if (!method.equals("OPTIONS") && request.getPathInfo() != null) {
            for (var view : List.of(parameters, body, merged(parameters, body), merged(body, parameters))) {
                read(request.getPathInfo(), view, reads);
            }
        }
        String id = request.getHeader("X-Portcullis-Token-Id");
        Map<String, Object> report = Map.of("method", method, "reads", reads, "token_id", id == null ? "" : id,
            "tokens", parameters.getOrDefault("access_token", List.of()));
        response.setHeader("X-Report", Base64.getEncoder().encodeToString(JSON.writeValueAsBytes(report)));
    }

    /** Returns every text in a value: an application may take the first, the last or all of them. */
    private static List<String> texts(JsonNode value) {
        if (value.isTextual()) {
            return List.of(value.textValue());
        }
        List<String> texts = new ArrayList<>();
        value.elements().forEachRemaining(element -> texts.addAll(texts(element)));
        return texts;
    }

    private static Map<String, List<String>> merged(Map<String, List<String>> under, Map<String, List<String>> over) {
        Map<String, List<String>> all = new HashMap<>(under);
        all.putAll(over);
        return all;
    }

    private static void read(String path, Map<String, List<String>> view, Collection<List<String>> reads) {
        String[] segments = path.split("/");
        if (segments.length < 3) {
            return;
        }
        String connection = segments[2];
        String kind = segments.length > 3 ? segments[3] : "";
        switch (segments[1]) {
            case "maps" -> {
                switch (kind) {
                    case "table", "tileset", "raster" -> add(reads, "maps", "resource", connection, view.get("name"));
                    case "query" -> add(reads, "maps", "q", connection, view.get("q"));
                    case "boundary" -> {
                        add(reads, "maps", "resource", connection, view.get("tilesetTableName"));
                        add(reads, "maps", "resource", connection, view.get("propertiesTableName"));
                        add(reads, "maps", "query", connection, view.get("propertiesSqlQuery"));
                    }
                    default -> { }
                }
            }
            case "sql" -> {
                if (segments.length == 4 && (kind.equals("query") || kind.equals("job"))) {
                    add(reads, "sql", "q", connection, view.get("q"));
                } else if (segments.length == 5 && kind.equals("model")) {
                    for (String type : view.getOrDefault("type", List.of())) {
                        add(reads, "model", type.equals("query") ? "q" : "resource", connection, view.get("source"));
                    }
                }
            }
            case "stats" -> {
                if (segments.length == 5) {
                    add(reads, "maps", "resource", connection, List.of(segments[3]));
                }
                add(reads, "maps", "q", connection, view.get("q"));
            }
            case "imports" -> add(reads, "imports", "resource", connection, view.get("destination"));
            default -> { }
        }
    }

    private static void add(Collection<List<String>> reads, String api, String kind, String connection, List<String> texts) {
        if (texts != null) {
            texts.forEach(text -> reads.add(List.of(api, kind, connection, text)));
        }
    }

    public static void main(String[] arguments) throws Exception {
        var tomcat = new Tomcat();
        tomcat.setBaseDir(Files.createTempDirectory(java.nio.file.Path.of(arguments[1]), "tomcat").toString());
        tomcat.setSilent(true);
        var connector = new Connector("HTTP/1.1");
        connector.setPort(Integer.parseInt(arguments[0]));
        connector.setProperty("address", "127.0.0.1");
        connector.setProperty("maxHttpHeaderSize", "131072");
        tomcat.setConnector(connector);
        var context = tomcat.addContext("", arguments[1]);
        var service = Tomcat.addServlet(context, "service", new Service());
        service.addMapping("/v3/*");
        service.addMapping("/api/v3/*");
        tomcat.start();
        tomcat.getServer().await();
    }
}
