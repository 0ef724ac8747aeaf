//! Values that are read from JSON objects only.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A type that is read from the members of an object.
pub trait FromObject {
    /// The expected value, for errors.
    const EXPECTED: &'static str = "an object";
}

/// A value that is read from an object only. A derived deserializer also accepts a list, and takes its items for the
/// members.
///
/// ```
/// use portcullis_document::definition::{FromObject, Object};
///
/// #[derive(serde::Deserialize)]
/// struct Route {
///     path: String,
/// }
///
/// impl FromObject for Route {
///     const EXPECTED: &str = "an object with the key `path`";
/// }
///
/// let Object(route) = serde_json::from_str::<Object<Route>>(r#"{"path": "/v3"}"#)?;
/// assert_eq!(route.path, "/v3");
/// assert!(serde_json::from_str::<Route>(r#"["/v3"]"#).is_ok());
/// assert!(serde_json::from_str::<Object<Route>>(r#"["/v3"]"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de> + FromObject> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// Reads the members of an object.
struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + FromObject> Visitor<'de> for Members<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members))
    }
}
