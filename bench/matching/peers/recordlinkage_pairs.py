"""The generated table through pandas and recordlinkage, the way its manual matches a table against itself.

python recordlinkage_pairs.py ROWS.csv PAIRS.csv, with the packages pandas and recordlinkage
"""

import sys

import pandas as pd
import recordlinkage

rows = pd.read_csv(sys.argv[1], dtype={"code": str}, keep_default_na=False).set_index("code")
rows["price"] = pd.to_numeric(rows["price"])
rows["start"] = rows["name"].str.lower().str[:12]
rows["model"] = (
    rows["name"].str.lower().str.extract(r"(\S*\d\S*\d\S*)", expand=False).str.replace(r"\W", "", regex=True)
)
# Without this the 5,000 rows of size "12" alone are 12 million pairs, and 100,000 rows are compared for hours.
rows.loc[rows.groupby("model")["model"].transform("size") > 40, "model"] = None
indexer = recordlinkage.Index()
indexer.block("model")
indexer.sortedneighbourhood("name", window=5)
pairs = indexer.index(rows)
compare = recordlinkage.Compare(n_jobs=2)
compare.string("name", "name", method="jarowinkler", threshold=0.85, label="name")
compare.exact("model", "model", label="model")
compare.string("manufacturer", "manufacturer", method="jarowinkler", threshold=0.85, label="manufacturer")
compare.numeric("price", "price", method="gauss", scale=5, missing_value=0.5, label="price")
scores = compare.compute(pairs, rows)
# As its manual begins. Its unsupervised classifier (ECM) finds one true pair in fifty here.
matches = scores[scores.sum(axis=1) > 2.4].index
matches.to_frame(index=False).to_csv(sys.argv[2], index=False)
