//! Whose the files are: enrolling is mostly done by root, for an account that runs without its rights.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::Path,
};

use super::EnrolError;

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> EnrolError {
    let path = path.to_owned();
    move |source| EnrolError::Owner { path, source }
}

/// Gives what root made in `made` to the account that `model` belongs to, or, where that is root's too, the folder around it.
///
/// # Errors
/// If a file cannot be looked at or given away.
pub fn hand_over(model: &Path, made: &[&Path]) -> Result<(), EnrolError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(model).map_err(failed(model))?;
    let around = model.parent().and_then(|parent| fs::metadata(parent).ok());
    let owner = match around {
        Some(around) if owner.uid() == 0 => around,
        _ => owner,
    };
    if owner.uid() == 0 {
        return Ok(());
    }
    made.iter().try_for_each(|made| give(made, &owner))
}

fn give(path: &Path, owner: &fs::Metadata) -> Result<(), EnrolError> {
    let meta = fs::symlink_metadata(path).map_err(failed(path))?;
    // A link could lead to files of others.
    if meta.is_symlink() {
        return Ok(());
    }
    if meta.uid() == 0 {
        chown(path, Some(owner.uid()), Some(owner.gid())).map_err(failed(path))?;
    }
    if meta.is_dir() {
        for entry in fs::read_dir(path).map_err(failed(path))? {
            give(&entry.map_err(failed(path))?.path(), owner)?;
        }
    }
    Ok(())
}
