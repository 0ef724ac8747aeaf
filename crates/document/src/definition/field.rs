//! Values that are read whatever their JSON type.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::syntax::SyntaxError;

/// A string of the document, borrowed from its text unless it is written with escapes.
pub type Text<'t> = Cow<'t, str>;

/// A field of an object.
///
/// ```
/// use portcullis_document::definition::{Field, Kind, read};
///
/// let document = read(r#"{"version": "1", "tokens": []}"#)?;
/// assert_eq!(document.version, Field::Wrong(Kind::String));
/// assert_eq!(document.apis, Field::Missing);
/// assert!(document.tokens.found().is_some_and(|tokens| tokens.is_empty()));
/// # Ok::<(), portcullis_document::definition::SyntaxError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Field<T> {
    /// The object does not have the field.
    #[default]
    Missing,
    /// A value of the expected type. A field that may be `null` holds an `Option`.
    Found(T),
    /// A value of another type; reported by [`Document::problems`](super::Document::problems).
    Wrong(Kind),
}

/// The maximum number of malformed elements of a list that are kept. The elements after them are only counted: a list
/// of a few megabytes would otherwise take gigabytes.
pub(super) const MAX_MALFORMED: usize = 1_000;

/// An element of a list.
///
/// ```
/// use portcullis_document::definition::{Element, Kind, read};
///
/// let document = read(r#"["abc"]"#)?;
/// assert_eq!(document.tokens.found().and_then(|tokens| tokens.iter().next()), Some(Element::Wrong(Kind::String)));
/// # Ok::<(), portcullis_document::definition::SyntaxError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element<T> {
    /// A value of the expected type.
    Found(T),
    /// A value of another type; reported by [`Document::problems`](super::Document::problems).
    Wrong(Kind),
    /// A line of JSON Lines that is not JSON, or a token with a value that JSON can write but no reader accepts.
    /// Examples are half a surrogate pair (`"\ud800"`) and a number out of range (`1e999`). In a list it is the last
    /// element, and the whole text of the list counts as unread. Reported by
    /// [`Document::problems`](super::Document::problems).
    Unread(SyntaxError),
    /// The number of problems of shape in the rest of a list with more than a thousand malformed elements. It is the
    /// last element.
    Rest(usize),
}

/// The JSON type of a value.
///
/// ```
/// use portcullis_document::definition::Kind;
///
/// assert_eq!(Kind::List.to_string(), "a list");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number.
    Number,
    /// A string.
    String,
    /// A list.
    List,
    /// An object.
    Object,
}

/// Text that neither messages nor `Debug` show.
///
/// ```
/// use portcullis_document::definition::{Element, read};
///
/// let document = read(r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["lds"]}]"#)?;
/// let Some(Element::Found(token)) = document.tokens.found().and_then(|tokens| tokens.iter().next()) else { unreachable!() };
/// assert_eq!(format!("{:?}", token.token), "Found([secret])");
/// assert_eq!(token.token.found().map(|secret| secret.expose()), Some("s3cret"));
/// # Ok::<(), portcullis_document::definition::SyntaxError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<'t>(Text<'t>);

impl<T> Field<T> {
    /// Returns the value, if it has the expected type.
    ///
    /// `None` does not mean that the field is optional: it may be [`Wrong`](Self::Wrong).
    pub fn found(&self) -> Option<&T> {
        match self {
            Self::Found(value) => Some(value),
            Self::Missing | Self::Wrong(_) => None,
        }
    }

    /// Whether the value has no problem; whether the field is optional if it is missing.
    pub(super) fn is_sound<'t>(&self, is_required: bool) -> bool
    where
        T: Lenient<'t>,
    {
        match self {
            Self::Missing => !is_required,
            Self::Found(value) => value.problem_count() == 0,
            Self::Wrong(_) => false,
        }
    }

    /// Reads the next value of `map`. Skips it and returns `false` if the field was given before.
    pub(super) fn read<'t, A: MapAccess<'t>>(&mut self, map: &mut A) -> Result<bool, A::Error>
    where
        T: Lenient<'t>,
    {
        if !matches!(self, Self::Missing) {
            map.next_value::<IgnoredAny>()?;
            return Ok(false);
        }
        let Read(value) = map.next_value()?;
        *self = value.map_or_else(Self::Wrong, Self::Found);
        Ok(true)
    }
}

impl<T> Element<T> {
    /// Returns the value, if it has the expected type.
    pub fn found(&self) -> Option<&T> {
        match self {
            Self::Found(value) => Some(value),
            Self::Wrong(_) | Self::Unread(_) | Self::Rest(_) => None,
        }
    }
}

impl<'t, T: Lenient<'t>> Deserialize<'t> for Element<T> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        let Read(value) = Read::deserialize(deserializer)?;
        Ok(value.map_or_else(Self::Wrong, Self::Found))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::List => "a list",
            Self::Object => "an object",
        })
    }
}

impl Secret<'_> {
    /// Returns the text, to be digested and dropped.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A type that accepts some JSON types and leaves the other ones to be reported.
pub trait Lenient<'t>: Sized {
    /// The expected type, for messages.
    const EXPECTED: &'static str;

    /// Accepts `null`; `None` where the type has no such form.
    fn from_null() -> Option<Self> {
        None
    }

    /// Accepts a Boolean; `None` where the type has no such form.
    fn from_bool(_: bool) -> Option<Self> {
        None
    }

    /// Accepts a whole number; `None` where the type has no such form.
    fn from_whole(_: u64) -> Option<Self> {
        None
    }

    /// Accepts a string; `None` where the type has no such form.
    fn from_text(_: Text<'t>) -> Option<Self> {
        None
    }

    /// Accepts an array; `None` where the type has no such form.
    ///
    /// # Errors
    ///
    /// If the array is not JSON.
    fn from_list<A: SeqAccess<'t>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    /// Returns the number of problems of shape in the value.
    fn problem_count(&self) -> usize {
        0
    }

    /// Accepts an object; `None` where the type has no such form.
    ///
    /// # Errors
    ///
    /// If the object is not JSON.
    fn from_object<A: MapAccess<'t>>(mut object: A) -> Result<Option<Self>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

impl<'t> Lenient<'t> for Text<'t> {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: Text<'t>) -> Option<Self> {
        Some(text)
    }
}

impl<'t> Lenient<'t> for Option<Text<'t>> {
    const EXPECTED: &'static str = "a string or null";

    fn from_null() -> Option<Self> {
        Some(None)
    }

    fn from_text(text: Text<'t>) -> Option<Self> {
        Some(Some(text))
    }
}

impl<'t> Lenient<'t> for Secret<'t> {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: Text<'t>) -> Option<Self> {
        Some(Self(text))
    }
}

impl Lenient<'_> for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }
}

impl Lenient<'_> for u64 {
    const EXPECTED: &'static str = "a whole number such as 1";

    fn from_whole(value: u64) -> Option<Self> {
        Some(value)
    }
}

impl<'t, T: Lenient<'t>> Lenient<'t> for Vec<Element<T>> {
    const EXPECTED: &'static str = "a list";

    fn from_list<A: SeqAccess<'t>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut elements = Self::new();
        let (mut malformed, mut rest) = (0, 0);
        while let Some(element) = list.next_element::<Element<T>>()? {
            let problems = match &element {
                Element::Found(value) => value.problem_count(),
                _ => 1,
            };
            malformed += usize::from(problems > 0);
            if malformed <= MAX_MALFORMED {
                elements.push(element);
            } else {
                rest += problems;
            }
        }
        if malformed > MAX_MALFORMED {
            elements.push(Element::Rest(rest));
        }
        Ok(Some(elements))
    }

    fn problem_count(&self) -> usize {
        self.iter().map(|element| element.found().map_or(1, Lenient::problem_count)).sum()
    }
}

/// A value, or the JSON type that was found instead.
pub(super) struct Read<T>(pub(super) Result<T, Kind>);

impl<'t, T: Lenient<'t>> Deserialize<'t> for Read<T> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyKind(PhantomData)).map(Self)
    }
}

struct AnyKind<T>(PhantomData<T>);

impl<'t, T: Lenient<'t>> Visitor<'t> for AnyKind<T> {
    type Value = Result<T, Kind>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(T::from_null().ok_or(Kind::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(T::from_bool(value).ok_or(Kind::Boolean))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(T::from_whole(value).ok_or(Kind::Number))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Err(Kind::Number))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Err(Kind::Number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'t str) -> Result<Self::Value, E> {
        Ok(T::from_text(Cow::Borrowed(text)).ok_or(Kind::String))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(T::from_text(Cow::Owned(text.to_owned())).ok_or(Kind::String))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, list: A) -> Result<Self::Value, A::Error> {
        Ok(T::from_list(list)?.ok_or(Kind::List))
    }

    fn visit_map<A: MapAccess<'t>>(self, object: A) -> Result<Self::Value, A::Error> {
        Ok(T::from_object(object)?.ok_or(Kind::Object))
    }
}

/// The name of a field, borrowed where it can be.
pub struct Name<'t>(pub Text<'t>);

impl<'t> Deserialize<'t> for Name<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'t> Visitor<'t> for NameVisitor {
            type Value = Name<'t>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_borrowed_str<E: Error>(self, name: &'t str) -> Result<Name<'t>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name<'t>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}
