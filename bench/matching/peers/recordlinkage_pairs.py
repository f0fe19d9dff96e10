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
indexer = recordlinkage.Index()
indexer.block("model")
indexer.sortedneighbourhood("name", window=5)
pairs = indexer.index(rows)
compare = recordlinkage.Compare(n_jobs=2)
compare.string("name", "name", method="jarowinkler", label="name")
compare.string("model", "model", method="levenshtein", label="model")
compare.string("manufacturer", "manufacturer", method="jarowinkler", label="manufacturer")
compare.numeric("price", "price", method="gauss", scale=5, missing_value=0.5, label="price")
scores = compare.compute(pairs, rows)
# Unsupervised, as the manual does it where nobody has labelled pairs.
matches = recordlinkage.ECMClassifier(binarize=0.8).fit_predict(scores)
matches.to_frame(index=False).to_csv(sys.argv[2], index=False)
