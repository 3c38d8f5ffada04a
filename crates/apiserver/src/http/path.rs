//! What a path means.

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Version,
    Api,
    Apis,
    Group(String),
    GroupVersion(String, String),
    /// The old form of the OpenAPI document.
    Swagger,
    OpenApiIndex,
    OpenApi(String, String),
    Resource(ResourcePath),
    Unknown,
}

/// A collection, an object or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ResourcePath {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) namespace: Option<String>,
    pub(super) resource: String,
    /// Empty for collections.
    pub(super) name: String,
    /// Empty for whole objects.
    pub(super) subresource: String,
    /// Whether the path alone says that it is to be watched.
    pub(super) watched: bool,
}

/// Reads a path.
pub(super) fn parse(path: &str) -> Route {
    let Some(segments) = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(decode)
        .collect::<Option<Vec<String>>>()
    else {
        return Route::Unknown;
    };
    let words: Vec<&str> = segments.iter().map(String::as_str).collect();
    let pair = |group: &str, version: &str| (group.to_owned(), version.to_owned());
    match words.as_slice() {
        ["version"] => Route::Version,
        ["api"] => Route::Api,
        ["apis"] => Route::Apis,
        ["openapi", "v2"] => Route::Swagger,
        ["openapi", "v3"] => Route::OpenApiIndex,
        ["openapi", "v3", "api", version] => {
            let (group, version) = pair("", version);
            Route::OpenApi(group, version)
        }
        ["openapi", "v3", "apis", group, version] => {
            let (group, version) = pair(group, version);
            Route::OpenApi(group, version)
        }
        ["api", version] => {
            let (group, version) = pair("", version);
            Route::GroupVersion(group, version)
        }
        ["apis", group] => Route::Group((*group).to_owned()),
        ["apis", group, version] => {
            let (group, version) = pair(group, version);
            Route::GroupVersion(group, version)
        }
        // The old way to watch.
        ["api", version, "watch", rest @ ..] => watched(resource("", version, rest)),
        ["apis", group, version, "watch", rest @ ..] => watched(resource(group, version, rest)),
        ["api", version, rest @ ..] => resource("", version, rest),
        ["apis", group, version, rest @ ..] => resource(group, version, rest),
        _ => Route::Unknown,
    }
}

fn watched(route: Route) -> Route {
    match route {
        Route::Resource(path) => Route::Resource(ResourcePath {
            watched: true,
            ..path
        }),
        other => other,
    }
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Route {
    let (namespace, rest) = match rest {
        // These are parts of the namespace itself.
        ["namespaces", _, "status" | "finalize"] if group.is_empty() => (None, rest),
        ["namespaces", namespace, inner @ ..] if !inner.is_empty() => (Some((*namespace).to_owned()), inner),
        _ => (None, rest),
    };
    let (resource, name, subresource) = match rest {
        [resource] => (*resource, "", ""),
        [resource, name] => (*resource, *name, ""),
        [resource, name, subresource] => (*resource, *name, *subresource),
        _ => return Route::Unknown,
    };
    Route::Resource(ResourcePath {
        group: group.into(),
        version: version.into(),
        namespace,
        resource: resource.into(),
        name: name.into(),
        subresource: subresource.into(),
        watched: false,
    })
}

/// Resolves `%xx`; `None` when what comes out is no text.
fn decode(segment: &str) -> Option<String> {
    if !segment.contains('%') {
        return Some(segment.to_owned());
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(rest.next())? * 16 + digit(rest.next())?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> [String; 6] {
        match parse(path) {
            Route::Resource(found) => [
                found.group,
                found.version,
                found.namespace.unwrap_or_else(|| "-".into()),
                found.resource,
                found.name,
                found.subresource,
            ],
            other => panic!("{path} is {other:?}"),
        }
    }

    #[test]
    fn paths_lead_where_kubernetes_has_them() {
        for (path, expected) in [
            ("/api/v1/secrets", ["", "v1", "-", "secrets", "", ""]),
            ("/api/v1/namespaces", ["", "v1", "-", "namespaces", "", ""]),
            ("/api/v1/namespaces/a", ["", "v1", "-", "namespaces", "a", ""]),
            (
                "/api/v1/namespaces/a/status",
                ["", "v1", "-", "namespaces", "a", "status"],
            ),
            (
                "/api/v1/namespaces/a/finalize",
                ["", "v1", "-", "namespaces", "a", "finalize"],
            ),
            (
                "/api/v1/namespaces/a/secrets/",
                ["", "v1", "a", "secrets", "", ""],
            ),
            (
                "/api/v1/namespaces/a/secrets/b",
                ["", "v1", "a", "secrets", "b", ""],
            ),
            (
                "/apis/g.io/v2/namespaces/a/kinds/b/status",
                ["g.io", "v2", "a", "kinds", "b", "status"],
            ),
            (
                "/apis/g.io/v2/kinds/b%2Dc",
                ["g.io", "v2", "-", "kinds", "b-c", ""],
            ),
        ] {
            assert_eq!(found(path), expected, "{path}");
        }
    }

    #[test]
    fn other_paths_are_discovery_or_nothing() {
        assert_eq!(parse("/api/"), Route::Api);
        assert_eq!(parse("/apis/g"), Route::Group("g".into()));
        assert_eq!(parse("/apis/g/v"), Route::GroupVersion("g".into(), "v".into()));
        assert_eq!(
            parse("/openapi/v3/apis/g/v"),
            Route::OpenApi("g".into(), "v".into())
        );
        for nowhere in [
            "/",
            "/openapi/v1",
            "/api/v1/a/b/c/d",
            "/apis/g/v/%zz",
            "/apis/g/v/%ff",
        ] {
            assert_eq!(parse(nowhere), Route::Unknown, "{nowhere}");
        }
    }
}
