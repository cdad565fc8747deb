//! Rate, paging and retries of reads around either back end.
