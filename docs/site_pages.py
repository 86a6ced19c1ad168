"""A hook of MkDocs: the Markdown files in the repository's root become pages of the site.

GitHub shows these files where they lie. MkDocs reads `docs/` only, so links between the two are rewritten.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
ROOT_PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for source, target in ROOT_PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, target, content=site_links(text, "docs/", "")))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Lead links from `docs/` to the root's files to their pages on the site."""
    up = "../" * page.file.src_uri.count("/")
    return site_links(markdown, f"{up}../", up)


def site_links(text: str, prefix: str, site_prefix: str) -> str:
    """Rewrite links that begin with a prefix, or that name one of the root's files.

    Args:
        text: Markdown.
        prefix: what a link to the other side begins with: `docs/` from the root, `../` from `docs/`.
        site_prefix: what it begins with on the site.
    """
    names = "|".join(map(re.escape, ROOT_PAGES))
    text = re.sub(rf"\]\((?:{re.escape(prefix)})?({names})", lambda m: f"]({site_prefix}{ROOT_PAGES[m[1]]}", text)
    return re.sub(rf"\]\({re.escape(prefix)}", f"]({site_prefix}", text)
