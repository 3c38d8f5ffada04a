//! Pure wire translation between model APIs
