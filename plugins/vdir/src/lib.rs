//! Connector for folders of .vcf and .ics files, as khal, khard and vdirsyncer use them.
#![forbid(unsafe_code)]
