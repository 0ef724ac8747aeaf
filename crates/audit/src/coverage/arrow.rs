//! Matches names in Arrow arrays.

use std::sync::Arc;

use arrow_array::array::StringArrayType;
use arrow_array::{ListArray, UInt32Array};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field};

use super::kernel::{Kernel, Matches};

impl Kernel {
    /// Returns, for each of `names`, the ascending indexes of the sources that cover it (N2.7, N3). The list is null if
    /// the name is null or malformed (N2.4), and empty if no source covers the name.
    ///
    /// A pure function of the sources and the names, for any string array: `&StringArray`, `&LargeStringArray` or
    /// `&StringViewArray`. Threads can share a kernel, so `DataFusion` or Spark can call this for each batch
    /// separately. Costs as much as [`covering`](Self::covering); the list is not copied.
    ///
    /// # Errors
    ///
    /// Returns an error if the batch has more than 2³¹ - 1 matches. Use smaller batches.
    ///
    /// ```
    /// use arrow_array::{Array, StringArray, UInt32Array, cast::AsArray, types::UInt32Type};
    /// use portcullis_audit::coverage::Kernel;
    /// use portcullis::model::{GrantSource, Limits};
    /// use portcullis::name::Dialect;
    ///
    /// let source = |text| GrantSource::guess(text, Dialect::Snowflake, &Limits::default());
    /// let sources = [source("db.s.*")?, source("db.s.roads")?, source("db.*.road*")?];
    /// let kernel = Kernel::new(Dialect::Snowflake, &sources);
    ///
    /// let names = StringArray::from(vec![Some("DB.S.ROADS"), Some("db.t.x"), Some("db..x"), None]);
    /// let lists = kernel.covering_array(&names)?;
    /// assert_eq!(lists.value(0).as_primitive::<UInt32Type>(), &UInt32Array::from(vec![0, 1, 2]));
    /// assert!(lists.value(1).is_empty());
    /// assert!(lists.is_null(2) && lists.is_null(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "the trait is implemented for references")]
    pub fn covering_array<'a>(&self, names: impl StringArrayType<'a>) -> Result<ListArray, ArrowError> {
        let mut matches = Matches::default();
        // An empty text is not a name, so null becomes malformed.
        self.covering(names.iter().map(Option::unwrap_or_default), &mut matches);
        let (ends, ids) = matches.into_parts();
        let too_many = |_| ArrowError::OffsetOverflowError(ids.len());
        let offsets: Result<Vec<i32>, _> =
            std::iter::once(0).chain(ends.iter().map(|(end, _)| *end)).map(i32::try_from).collect();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets.map_err(too_many)?));
        let nulls: NullBuffer = ends.iter().map(|(_, well_formed)| *well_formed).collect();
        let field = Arc::new(Field::new_list_field(DataType::UInt32, false));
        ListArray::try_new(field, offsets, Arc::new(UInt32Array::from(ids)), Some(nulls))
    }
}
